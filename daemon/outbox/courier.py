"""The courier: takes what is due to its sink, and writes down what came of it.

Before anything leaves the machine the delivery is marked as being sent, in the database. Wherever
a courier ends, its successor finds that mark and looks over there before it sends again.
"""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from calibration_store.transactions import writing
from daemon.memory.messages import DeliveryState, Message, Topic
from daemon.outbox.defects import Defect, guarded
from daemon.outbox.gathering import OPENING, gather
from daemon.outbox.routing import places_of
from daemon.outbox.sink import Absent, Letter, Prepared, Refused, Sent, TryAgain, Unclear

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from daemon.config import Config
    from daemon.memory.archive import Archive
    from daemon.memory.messages import Delivery
    from daemon.outbox.sink import Outcome, Sink

log = logging.getLogger(__name__)

_FIRST_S, _LAST_S = 10.0, 600.0
_OPEN = (DeliveryState.WAITING, DeliveryState.UNKNOWN)
#: What was on its way when the answer failed gets so long to appear before anyone looks.
_LOOK_AFTER_S = 10.0


class Courier:
    """Delivers what is due, one thing after the other.

    Parameters
    ----------
    sinks
        By name: 'slack', 'mail', 'folder', 'journal', 'webhook.NAME'.
    chance
        Gives numbers between 0 and 1, which spread the attempts of many.
    """

    def __init__(
        self,
        config: Config,
        archive: Archive,
        sinks: Mapping[str, Sink],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._archive = archive
        self._sinks = sinks
        self._chance = chance
        #: Sink -> when it may be used again, and how often in a row it failed.
        self._rests: dict[str, datetime] = {}
        self._failures: dict[str, int] = {}
        #: (sink, address) -> when the next message may go there.
        self._paced: dict[tuple[str, str], datetime] = {}

    def begin(self) -> None:
        """Doubt what a predecessor left unfinished."""
        doubted = self._archive.doubt_unfinished(self._now)
        if doubted:
            log.warning("%d deliveries were interrupted; looking before repeating them", doubted)

    def step(self) -> int:
        """Do once everything that is due; return how many deliveries were tried."""
        for notice in self._archive.unrouted_notices(self._now):
            self._archive.route_notice(notice.id, places_of(notice.message, self._config))
        tried = 0
        for planned in self._archive.due_deliveries(self._now):
            delivery = self._archive.delivery(planned.id)
            if delivery.state in _OPEN:
                tried += self._attempt(delivery)
        return tried

    @property
    def _now(self) -> datetime:
        return self._archive.clock.now()

    def _attempt(self, delivery: Delivery) -> bool:
        """Try one delivery, if its place is ready for it; tell whether it was tried."""
        sink = self._sinks.get(delivery.sink)
        if sink is None:
            advice = f"give [{delivery.sink}] its settings back, or forget the message"
            self._settle(delivery, Refused(reason="this sink is no longer set up", advice=advice))
            return False
        place = (delivery.sink, delivery.address)
        ready = max(self._rests.get(delivery.sink, self._now), self._paced.get(place, self._now))
        if ready > self._now:
            return False
        if delivery.state is DeliveryState.WAITING:
            chosen = gather(self._archive, delivery, self._config.outbox, self._now)
            if chosen is None or chosen.next_try > self._now:
                return False
            delivery = chosen
        thread = self._opened(delivery, sink)
        if thread is not None:
            self._deliver(delivery, sink, thread)
        return True

    def _opened(self, delivery: Delivery, sink: Sink) -> str | None:
        """Return the thread of a delivery ('' for none); None when it must be opened first."""
        thread = ""
        if not sink.has_threads:
            return thread
        for key, title in conversation_of(delivery.message):
            opener = Message(key=key, topic=delivery.message.topic, text=title, to=(delivery.sink,))
            opening = self._archive.add_delivery(opener, delivery.sink, delivery.address)
            if opening.state is DeliveryState.OVERTAKEN:
                self._archive.mark(opening.id, DeliveryState.WAITING, next_try=self._now)
                opening = self._archive.delivery(opening.id)
            if opening.state in _OPEN:
                if opening.next_try <= self._now:
                    self._deliver(opening, sink, "")
                    opening = self._archive.delivery(opening.id)
                    if self._archive.delivery(delivery.id).state not in _OPEN:
                        return None  # it has shown that the place is closed
                if opening.state in _OPEN:
                    self._archive.mark(delivery.id, delivery.state, next_try=opening.next_try)
                    return None
            if opening.state is DeliveryState.SENT:
                thread = opening.remote
        return thread

    def _deliver(self, delivery: Delivery, sink: Sink, thread: str) -> None:
        letter = self._letter(delivery, thread)
        if delivery.state is DeliveryState.UNKNOWN:
            found = self._guarded(lambda: sink.find(letter))
            if isinstance(found, TryAgain | Unclear):
                found = Unclear(f"{delivery.error}; a look failed: {found.reason}")
            if not isinstance(found, Absent):
                self._settle(delivery, found)
                return
        began = delivery.began_at or self._now
        self._archive.mark(
            delivery.id, DeliveryState.SENDING, began_at=began, attempts=delivery.attempts + 1
        )
        if not letter.prepared:
            ready = self._guarded(lambda: sink.prepare(letter))
            if not isinstance(ready, Prepared):
                # Nothing visible has happened yet.
                definite = TryAgain(reason=ready.reason) if isinstance(ready, Unclear) else ready
                self._settle(delivery, definite)
                return
            values = dict(ready.values)
            self._archive.mark(delivery.id, DeliveryState.SENDING, prepared=values)
            letter = Letter(
                message=letter.message,
                address=letter.address,
                since=letter.since,
                thread=thread,
                prepared=values,
            )
        self._settle(delivery, self._guarded(lambda: sink.send(letter)))

    def _letter(self, delivery: Delivery, thread: str) -> Letter:
        return Letter(
            message=delivery.message,
            address=delivery.address,
            since=min(delivery.created_at, delivery.began_at or delivery.created_at),
            thread=thread,
            prepared=delivery.prepared,
        )

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """Answer for a sink that has a defect: what it did is unclear, and nothing else stops."""
        answer = guarded("a sink", call)
        if isinstance(answer, Defect):
            return Unclear(f"a defect in the sink: {answer.reason}")
        return answer

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write down how a delivery stands after an attempt."""
        now, sink = self._now, self._sinks.get(delivery.sink)
        pace_s = sink.pace_s if sink is not None else 0.0
        self._paced[(delivery.sink, delivery.address)] = now + timedelta(seconds=pace_s)
        if isinstance(outcome, Sent):
            self._failures.pop(delivery.sink, None)
            self._archive.mark(
                delivery.id, DeliveryState.SENT, sent_at=now, remote=outcome.remote, error=""
            )
        elif isinstance(outcome, Refused):
            self._give_up(delivery, outcome)
        elif now - delivery.created_at > timedelta(hours=self._config.outbox.retry_h):
            perhaps = "; it may have arrived" if isinstance(outcome, Unclear) else ""
            reason = f"given up after {self._config.outbox.retry_h:g} h: {outcome.reason}{perhaps}"
            advice = "mend the connection, then `alfoscd outbox --retry`"
            self._give_up(
                delivery,
                Refused(reason=reason, advice=advice),
                began_at=delivery.began_at or now if perhaps else None,
            )
        else:
            self._postpone(delivery, outcome)

    def _postpone(self, delivery: Delivery, outcome: TryAgain | Unclear) -> None:
        own_s = self._wait_s(delivery.attempts)
        if isinstance(outcome, Unclear):
            state, wait_s = DeliveryState.UNKNOWN, max(own_s, _LOOK_AFTER_S)
        else:
            state, wait_s = DeliveryState.WAITING, max(own_s, outcome.after_s or 0.0)
            # It is certain that nothing has arrived so far.
            self._archive.mark(delivery.id, state, began_at=None)
            if outcome.afresh:
                self._archive.mark(delivery.id, state, prepared={})
        if not (isinstance(outcome, TryAgain) and outcome.alone):
            failures = self._failures.get(delivery.sink, 0)
            self._failures[delivery.sink] = failures + 1
            asked_s = outcome.after_s if isinstance(outcome, TryAgain) else None
            rest_s = self._wait_s(failures) if asked_s is None else asked_s
            self._rests[delivery.sink] = self._now + timedelta(seconds=rest_s)
        next_try = self._now + timedelta(seconds=wait_s)
        self._archive.mark(delivery.id, state, error=outcome.reason, next_try=next_try)
        log.warning("%s to %s waits: %s", delivery.message.key, delivery.sink, outcome.reason)

    def _wait_s(self, failures: int) -> float:
        spread = 0.75 + 0.5 * self._chance()
        return spread * min(_FIRST_S * 2.0 ** min(failures, 10), _LAST_S)

    def _give_up(
        self, delivery: Delivery, refused: Refused, began_at: datetime | None = None
    ) -> None:
        """Bury a delivery, and with a closed place all that waits for it; say so once elsewhere."""
        error = f"{refused.reason}. To do: {refused.advice}."
        log.error("%s to %s is given up: %s", delivery.message.key, delivery.sink, error)
        with writing(self._archive.engine) as session:
            self._archive.mark(
                delivery.id, DeliveryState.DEAD, session, error=error, began_at=began_at
            )
            if not refused.closed:
                return
            waiting = self._archive.open_deliveries(delivery.sink, delivery.address, session)
            lost = [each.id for each in waiting if each.state is DeliveryState.WAITING]
            self._archive.mark_all(lost, DeliveryState.DEAD, session, error=error)
            self._archive.queue_message(self._obituary(delivery, error, 1 + len(lost)), session)

    def _obituary(self, delivery: Delivery, error: str, count: int) -> Message:
        where = f"{delivery.sink} {delivery.address}".strip()
        return Message(
            key=f"closed:{where}:{self._now:%Y-%m-%d}",
            topic=Topic.TROUBLE,
            subject=f"alfoscd cannot reach {where}",
            text=(
                f"{error}\n{count} messages for {where} wait in the outbox and are not lost: "
                "`alfoscd outbox --retry` sends them once this is mended.\n"
                "This is told once a day."
            ),
            not_to=(delivery.sink,),
        )


def conversation_of(message: Message) -> list[tuple[str, str]]:
    """Return the posts below which a message belongs, the outermost first: (key, title)."""
    if not message.night or message.key.startswith(OPENING):
        return []
    opened = [(f"{OPENING}{message.night}", f"Night {message.night}")]
    if message.target:
        title = f"{message.target}, night {message.night}"
        opened.append((f"{OPENING}{message.night}:{message.target}", title))
    return opened
