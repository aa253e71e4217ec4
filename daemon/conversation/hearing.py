"""Carry out what somebody did below a product: once, by who may, on the version that was meant."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from astropy.io import fits

from daemon.conversation.buttons import product_mark
from daemon.conversation.command import VERBS, Command, NotUnderstood, Verb, command_in
from daemon.layout import version_of
from daemon.memory.database import writing
from daemon.memory.interactions import Interaction
from daemon.memory.messages import Message, Topic
from daemon.outbox.gathering import OPENING
from daemon.outbox.routing import programme_rules
from daemon.publish.words import clean
from daemon.work.asked import Unusable
from daemon.work.product_files import target_of
from daemon.work.redo import carried_over
from daemon.work.redo_request import request_of, submit_redo
from daemon.work.roles import IMAGED
from daemon.work.verdicts import judge

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from daemon.config import Config
    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord, ProductRecord

    Pair = tuple[FrameRecord, ProductRecord]

log = logging.getLogger(__name__)

SINK = "slack"
_USER = re.compile(r"[UW][A-Z0-9]{1,20}")
_CHANNEL = re.compile(r"[A-Z][A-Z0-9]{1,20}")
_MARK = re.compile(r"[0-9]{1,12}\.[0-9]{1,6}")
#: 'open:2026-11-20:TARGET'
_THREAD = re.compile(rf"{re.escape(OPENING)}([0-9]{{4}}-[0-9][0-9]-[0-9][0-9]):(.+)", re.DOTALL)
_BUTTON = re.compile(r"([0-9]{1,9}) ([0-9a-f]{64}) ([0-9]{1,6})")
_IMAGE_ONLY = {"subtract_sky", "divide_flat", "find_cosmics", "use_catalogues"}
_BOTH = {"cosmic_sigma"}
_STORM = "refused in a conversation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody did, as it came in; nothing of it is trusted.

    Attributes
    ----------
    thread
        Time stamp of the post that opened the conversation.
    mark
        Time stamp of the reply, or of the press of a button.
    text
        The reply; '' for a button.
    verb, product
        Of a button: what, and on which product (`product_mark`).
    """

    user: str
    channel: str
    thread: str
    mark: str
    text: str = ""
    verb: str = ""
    product: str = ""

    @property
    def is_well_formed(self) -> bool:
        """Whether ids and time stamps are what they should be."""
        return bool(
            _USER.fullmatch(self.user)
            and _CHANNEL.fullmatch(self.channel)
            and _MARK.fullmatch(self.thread)
            and _MARK.fullmatch(self.mark)
        )

    @property
    def key(self) -> str:
        """What makes it the same act when it comes in again: a button works once, for anybody."""
        if self.verb:
            return f"button:{self.verb}:{self.product}"
        return f"reply:{self.channel}:{self.mark}"


class _Refused(Exception):
    """It is not done; the message says why."""


def hear(archive: Archive, config: Config, said: Said) -> str:
    """Do what somebody asks for, and queue the answer for the thread, in one transaction.

    Returns
    -------
    str
        The answer; '' for what is no affair of ours or was answered before.
    """
    if not said.is_well_formed:
        log.warning("something that is no message of Slack came in and is left alone")
        return ""
    with writing(archive.engine) as session:
        thread = archive.thread_at(SINK, said.channel, said.thread, session)
        found = _THREAD.fullmatch(thread.opened_by) if thread is not None else None
        if found is None:
            return ""
        return _Hearing(archive, config, said, session, found[1], found[2]).answer()


class _Hearing:
    """One act in the conversation about one target of one night."""

    def __init__(
        self,
        archive: Archive,
        config: Config,
        said: Said,
        session: Session,
        night: str,
        target: str,
    ) -> None:
        self._archive, self._config, self._said = archive, config, said
        self._session, self._night, self._target = session, night, target
        self._pairs = self._products()

    def answer(self) -> str:
        said, done = self._said, True
        refusal_key = f"refused:{said.key}:{said.user}:{said.mark}"
        if self._archive.interaction(refusal_key, self._session) is not None:
            return ""
        try:
            text = self._obey()
        except (_Refused, NotUnderstood, Unusable) as error:
            text, done = f"not done: {error}", False
            log.warning("%s in %s is refused: %s", said.user, said.channel, clean(error, 200))
        if not text:
            return ""
        self._record(said.key if done else refusal_key, text, done=done)
        return text

    def _obey(self) -> str:
        """Carry it out and return the answer; '' where there is nothing to answer."""
        said = self._said
        stems = [frame.stem for frame, _ in self._pairs]
        if said.verb:
            command: Command | None = Command(verb=_verb(said.verb))
        else:
            try:
                command = command_in(said.text, stems)
            except NotUnderstood:
                self._check_user(*(frame for frame, _ in self._pairs))
                raise
        if command is None:
            return ""
        earlier = self._archive.interaction(said.key, self._session)
        if earlier is not None and earlier.mark == said.mark:
            return ""  # it was delivered twice
        self._check_user(*(frame for frame, _ in self._pairs))
        if earlier is not None:
            raise _Refused(
                f"this button was used by {earlier.user} at {earlier.at:%H:%M} UT; "
                f"write `{command.verb}` here if you mean it again"
            )
        frame, product = self._pressed() if said.verb else self._named(command)
        self._check_user(frame)
        return f"{said.user}: {self._carry_out(command, frame, product)}"

    def _check_user(self, *frames: FrameRecord) -> None:
        """Refuse who may judge none of these frames: neither every programme's nor their own."""
        programmes = {frame.identity.programme or "none" for frame in frames}
        own = {user for each in programmes for user in programme_rules(each, self._config).users}
        if self._said.user not in own.union(self._config.slack.users):
            where = "".join(f' or [programmes."{each}"] users' for each in sorted(programmes))
            raise _Refused(
                f"{self._said.user} may not do this; who runs alfoscd can add this id to "
                f"[slack] users{clean(where, 200)}"
            )

    def _products(self) -> list[Pair]:
        found = []
        for product in self._archive.products(self._night, self._session):
            frame = self._archive.frame(product.frame_id, self._session)
            if frame is not None and target_of(frame) == self._target:
                found.append((frame, product))
        return found

    def _pressed(self) -> Pair:
        """Return the product of a button, if it is still the one that counts."""
        mark = _BUTTON.fullmatch(self._said.product)
        if mark is None:
            raise _Refused("this button is not one of alfoscd's")
        for frame, product in self._pairs:
            if frame.id == int(mark[1]):
                if product_mark(product) != self._said.product:
                    raise _Refused(
                        f"{frame.stem} has been made again since: version "
                        f"{version_of(product.main_path)} counts now; judge that one"
                    )
                return frame, product
        raise _Refused("this button belongs to no product of this thread")

    def _named(self, command: Command) -> Pair:
        """Return the product that a reply means; of several it must name one."""
        pairs = [pair for pair in self._pairs if command.stem in ("", pair[0].stem)]
        if not pairs:
            raise _Refused("this thread has no product yet")
        if len(pairs) > 1:
            stems = ", ".join(frame.stem for frame, _ in pairs[:8])
            raise _Refused(
                f"this thread is about {stems}: say which, as `{command.verb} {pairs[-1][0].stem}`"
            )
        frame, product = pairs[0]
        if product.created_at > datetime.fromtimestamp(float(self._said.mark), UTC):
            raise _Refused(
                f"{frame.stem} was made again after you wrote: version "
                f"{version_of(product.main_path)} counts now; look at it, then say it again"
            )
        return frame, product

    def _carry_out(self, command: Command, frame: FrameRecord, product: ProductRecord) -> str:
        if command.verb == "redo":
            return self._redo(command, frame, product)
        return judge(
            self._archive,
            frame,
            accept=command.verb == "accept",
            version=version_of(product.main_path),
            user=self._name,
            remark=command.remark,
            within=self._session,
        )

    def _redo(self, command: Command, frame: FrameRecord, product: ProductRecord) -> str:
        settings = dict(command.settings)
        if command.centre_moves_px is not None:
            settings["centroid_px"] = _moved(product, command.centre_moves_px)
        _check_fit(frame, settings)
        request = request_of(self._archive, frame, user=self._name, settings=settings)
        if self._said.verb:  # the button asks for the same, with what calibrations there are now
            request = replace(carried_over(product), user=request.user, at=request.at)
        submit_redo(self._archive, frame, request, self._session)
        return (
            f"{frame.stem} is reduced again ({request.in_words}); "
            f"version {version_of(product.main_path)} stays beside it"
        )

    @property
    def _name(self) -> str:
        """Who asked, as the product will name them."""
        return f"slack:{self._said.user}"

    def _record(self, key: str, text: str, *, done: bool) -> None:
        said, now = self._said, self._archive.clock.now()
        words = said.verb or clean(said.text, 500)
        self._archive.record_interaction(
            Interaction(
                key=key,
                user=said.user,
                channel=said.channel,
                mark=said.mark,
                said=words,
                done=done,
                answer=text,
                at=now,
            ),
            self._session,
        )
        programmes = {frame.identity.programme or "none" for frame, _ in self._pairs}
        message = Message(
            key=f"answer:{key}",
            topic=Topic.CHANGE,
            text=text,
            night=self._night,
            target=self._target,
            programme=min(programmes, default=""),
            to=(SINK,),
            storm="" if done else _STORM,
        )
        self._archive.queue_message(message, self._session)


def _verb(word: str) -> Verb:
    for verb in VERBS:
        if verb == word:
            return verb
    raise _Refused("this button is not one of alfoscd's")


def _moved(product: ProductRecord, by_px: float) -> float:
    """Return the column of the present extraction, moved."""
    path = product.paths.get("spectrum")
    try:
        column = float(fits.getheader(path)["OBJCOL"]) if path is not None else None
    except (OSError, KeyError, TypeError, ValueError):
        column = None
    if column is None:
        raise _Refused(
            f"{product.stem} does not tell where it was extracted: give the column, center=145"
        )
    if not column + by_px >= 0:
        raise _Refused(f"center={by_px:+g} from column {column:.1f} is off the slit")
    return round(column + by_px, 2)


def _check_fit(frame: FrameRecord, settings: dict[str, object]) -> None:
    image = frame.identity.kind in IMAGED
    foreign = [
        name for name in settings if name not in _BOTH and (name in _IMAGE_ONLY) is not image
    ]
    if foreign:
        what = "an image" if image else "a spectrum"
        raise _Refused(f"{frame.stem} is {what}: it has no setting {', '.join(sorted(foreign))}")
