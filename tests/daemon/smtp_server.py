"""A small mail server on this machine that fails as its script says."""

from __future__ import annotations

import contextlib
import socketserver
import threading


class SmtpServer(socketserver.ThreadingTCPServer):
    """Stores mails. `script` maps a command to its answers, used up one by one.

    An answer is a line to say instead, 'drop' to hang up, or 'stored-drop' to keep the mail and
    hang up before saying so.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Session)
        self.mails, self.script, self.commands = [], {}, []
        self.context = context

    def handle_error(self, request, client_address):
        """Clients that leave are no news."""


class Session(socketserver.StreamRequestHandler):
    server: SmtpServer

    def handle(self):
        if self.obey("CONNECT", "220 here I am"):
            return
        self.rcpt = ""
        while line := self.rfile.readline():
            words = line.decode().strip()
            command = words.split(" ")[0].split(":")[0].upper()
            self.server.commands.append(words)
            if self.command(command, words):
                return

    def command(self, command, words):
        if command == "EHLO":
            more = "250-STARTTLS\r\n" if self.server.context else ""
            return self.obey("EHLO", f"250-me\r\n{more}250 AUTH PLAIN LOGIN")
        if command == "STARTTLS":
            if self.obey("STARTTLS", "220 go on"):
                return True
            self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)
            return False
        if command == "RCPT":
            self.rcpt = words[words.index("<") + 1 : words.index(">")]
        if command == "DATA":
            return self.data()
        return self.obey(command, "221 bye" if command == "QUIT" else "250 fine")

    def data(self):
        first = self.server.script.get("DATA", [])
        if first and first[0].startswith("4"):
            return self.obey("DATA", "")
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) and line != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        fault = self.server.script.get("END", [])
        answer = fault.pop(0) if fault else ""
        if answer == "drop" or (answer and answer[0].isdigit()):
            return self.say(answer) if answer != "drop" else True
        self.server.mails.append((self.rcpt, b"".join(lines)))
        return True if answer == "stored-drop" else self.say("250 taken")

    def obey(self, command, usual):
        script = self.server.script.get(command, [])
        answer = script.pop(0) if script else usual
        return True if answer == "drop" else self.say(answer)

    def say(self, text):
        with contextlib.suppress(OSError):
            self.wfile.write(text.encode() + b"\r\n")
        return False


@contextlib.contextmanager
def mail_server(context=None):
    server = SmtpServer(context)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
