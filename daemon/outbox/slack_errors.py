"""What Slack's answers mean, in words."""

from __future__ import annotations

from daemon.outbox.sink import Outcome, Refused, TryAgain, Unclear

_TOKEN = "put a valid bot token into the credential `slack-token` and restart alfoscd"
_CHANNEL = "set [slack] channel to the id of a living channel and invite the app to it"
_SCOPE = (
    "give the app the scopes chat:write, files:write, files:read, channels:history and "
    "groups:history, and install it again"
)
#: Error -> (what is wrong, what to do); nothing gets through until a person has done it.
_CLOSED = {
    "not_authed": ("there is no token", _TOKEN),
    "invalid_auth": ("the token is not valid", _TOKEN),
    "token_revoked": ("the token was revoked", _TOKEN),
    "token_expired": ("the token has expired", _TOKEN),
    "account_inactive": ("the app's account was switched off", _TOKEN),
    "org_login_required": ("the workspace is being moved", _TOKEN),
    "missing_scope": ("the app lacks a permission", _SCOPE),
    "not_allowed_token_type": ("this is not a bot token", _TOKEN),
    "no_permission": ("the app lacks a permission", _SCOPE),
    "channel_not_found": ("there is no such channel", _CHANNEL),
    "invalid_channel": ("there is no such channel", _CHANNEL),
    "not_in_channel": ("the app is not in the channel", _CHANNEL),
    "is_archived": ("the channel is archived", _CHANNEL),
    "restricted_action": ("the workspace forbids posting there", _CHANNEL),
}
_CLOSED_TOO = {"channel_is_archived": "is_archived"}
#: Slack itself says of these that parts of what was asked may have happened.
_UNCLEAR = {"fatal_error", "internal_error", "request_timeout", "service_unavailable"}
#: The uploaded file cannot be used: it is uploaded again.
_STALE = {"file_not_found", "invalid_file_id", "file_deleted", "files_not_found", "file_not_shared"}


def meaning_of(status: int, error: str, retry_after: str = "") -> Outcome:
    """Return what an answer that is no success says about the message.

    Parameters
    ----------
    status
        HTTP status.
    error
        Slack's name of the error; '' when the body was not Slack's.
    retry_after
        Header of a 429, seconds.
    """
    if status == 429 or error in ("ratelimited", "rate_limited"):
        asked_s = float(retry_after) if retry_after.strip().isdigit() else None
        return TryAgain(reason="Slack asks to slow down", after_s=asked_s)
    error = _CLOSED_TOO.get(error, error)
    if error in _CLOSED:
        reason, advice = _CLOSED[error]
        return Refused(reason=f"Slack: {reason} ({error})", advice=advice, closed=True)
    if error in _STALE:
        return TryAgain(reason=f"Slack lost the upload ({error})", alone=True, afresh=True)
    if status == 408 or status >= 500 or error in _UNCLEAR:
        return Unclear(f"Slack answered {error or f'HTTP {status}'}")
    return Refused(
        reason=f"Slack refused the message ({error or f'HTTP {status}'})",
        advice="the text is in the night's report; tell the developers of this refusal",
    )
