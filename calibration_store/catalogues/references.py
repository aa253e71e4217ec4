"""What the catalogues know of a field: local disc first, then the services, and why if not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np

from calibration_store.catalogues.entries import at_epoch
from calibration_store.catalogues.hosts import Hosts
from calibration_store.catalogues.local import WHOLE, LocalCatalogues, holding_of, is_met
from calibration_store.catalogues.online import Answers, Services
from calibration_store.catalogues.sky import MARGIN_DEG, Cone
from calibration_store.catalogues.tiles import UnusableCatalogue
from calibration_store.catalogues.wanted import Wanted, WantedList
from reducers.imaging.references import ReferenceCatalogue, References

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from calibration_store.catalogues.online import Answer
    from calibration_store.catalogues.services import KnownCatalogues

#: Services are asked for so much more than an image needs: its neighbours are then on disc too.
_WIDER_DEG = 0.05


class Asker(Protocol):
    """Whatever answers questions about the sky: the services, or a fake."""

    def ask(
        self,
        needs: Sequence[Sequence[str]],
        cone: Cone,
        *,
        limit_s: float,
        even_resting: bool = False,
    ) -> Answers:
        """Return what came of each choice of catalogues within the time."""
        ...


class Catalogues(LocalCatalogues):
    """The catalogues below a folder, and what services add to them.

    Parameters
    ----------
    folder
        Made when something is written.
    online
        Whether services may be asked.
    limit_s
        How long `references_for` may wait for them.
    vizier_hosts
        VizieR mirrors instead of the known ones.
    services
        Whom to ask instead of the services of the known catalogues.
    now
        The time (UTC).
    """

    def __init__(
        self,
        folder: Path,
        *,
        online: bool = False,
        limit_s: float = 10.0,
        vizier_hosts: Sequence[str] = (),
        known: KnownCatalogues | None = None,
        services: Asker | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(folder, known=known, now=now)
        self.wanted = WantedList(folder / "wanted")
        self.hosts = Hosts(folder / "hosts.json", now)
        self.online, self._limit_s = online, limit_s
        self._services = services or Services(self.known, self.hosts, vizier_hosts=vizier_hosts)

    def references_for(
        self,
        ra_deg: float,
        dec_deg: float,
        radius_deg: float,
        epoch_year: float,
        band: str,
        *,
        ask: bool = True,
    ) -> References:
        """Return the catalogues that an image is compared with.

        Every catalogue that has entries there is given, the preferred first; what is missing,
        partial or late stands in `reasons`, and is remembered as wanted. Nothing that fails
        raises, and services are waited for no longer than was allowed.

        Parameters
        ----------
        band
            Short name of the filter ('V', 'g_SDSS', ''): it chooses the catalogues of magnitudes.
        ask
            Whether what is missing may be asked for, and is wanted if it does not come; without,
            only local disc counts and the answer is there at once.
        """
        if not np.isfinite([ra_deg, dec_deg, radius_deg, epoch_year]).all() or abs(dec_deg) > 90:
            return References(reasons=("the position or time of the image is not known",))
        cone = Cone(ra_deg % 360, dec_deg, radius_deg)
        choices = [choice for choice in (self._positions(), self.serving(band, cone)) if choice]
        names = [name for choice in choices for name in choice]
        found = {name: self.look(name, cone, epoch_year) for name in names}
        needs = [choice for choice in choices if not is_met([found[name] for name in choice])]
        answers, passing = Answers(), dict[str, ReferenceCatalogue]()
        if needs and self.online and ask:
            answers, left = self._ask_and_keep(needs, cone)
            passing = {a.catalogue: self._passing(a, cone, epoch_year) for a in left}
            found |= {n: self.look(n, cone, epoch_year) for choice in needs for n in choice}
            needs = [choice for choice in needs if not passing.keys() & set(choice)]
            needs = [choice for choice in needs if not is_met([found[name] for name in choice])]
        reasons = [self._why(choice, cone, answers) for choice in needs]
        if needs and ask:
            with suppress(OSError):
                self.wanted.note(self._wish(cone, needs, reasons))
        known = {
            name: passing.get(name) or self.carried(name, one, cone, epoch_year)
            for name, one in found.items()
        }
        given = self._references(known, self.serving(band, cone), reasons)
        return replace(given, awaited=bool(needs))

    def fetch(
        self, names: Sequence[str], cone: Cone, *, limit_s: float, even_resting: bool = False
    ) -> Answers:
        """Ask the services for a cone of each catalogue, whatever local disc holds, and keep it."""
        wider = replace(cone, radius_deg=cone.radius_deg + MARGIN_DEG)
        needs = [(name,) for name in names]
        answers = self._services.ask(needs, wider, limit_s=limit_s, even_resting=even_resting)
        self._keep_all(answers, wider)
        return answers

    def fetch_wanted(
        self, *, limit_s: float, most: int = 20, by_hand: bool = False
    ) -> tuple[Wanted, ...]:
        """Try again what could not be had; return the wishes that are now fulfilled.

        A wish that local disc meets by now is fulfilled without asking. Ends early once no service
        answers. Images that were waiting can be calibrated again: the fields are theirs.

        Parameters
        ----------
        most
            Services are asked for no more wishes than this.
        by_hand
            Ask also when services are not to be asked by themselves, and those that failed lately.
        """
        fulfilled = []
        left = most if self.online or by_hand else 0
        for wish in self.wanted.everything():
            needs = [choice for choice in wish.needs if not self.met(choice, wish.cone)]
            if needs and left > 0:
                even_resting = by_hand and left == most
                answers, _ = self._ask_and_keep(
                    needs, wish.cone, limit_s=limit_s, even_resting=even_resting
                )
                needs = [choice for choice in needs if not self.met(choice, wish.cone)]
                reasons = [self._why(choice, wish.cone, answers) for choice in needs]
                self.wanted.note(replace(wish, tried=self._stamp(), why="; ".join(reasons)))
                left = left - 1 if answers.found else 0
            if not needs:
                self.wanted.forget(wish)
                fulfilled.append(wish)
        return tuple(fulfilled)

    # ------------------------------------------------------------ what is needed, and why not

    def _ask_and_keep(
        self,
        needs: Sequence[Sequence[str]],
        cone: Cone,
        *,
        limit_s: float | None = None,
        even_resting: bool = False,
    ) -> tuple[Answers, list[Answer]]:
        """Ask for a little more than a cone; return what came, and what of it could not be kept."""
        wider = replace(cone, radius_deg=cone.radius_deg + _WIDER_DEG)
        answers = self._services.ask(
            [self._askable(choice) for choice in needs],
            wider,
            limit_s=self._limit_s if limit_s is None else limit_s,
            even_resting=even_resting,
        )
        return answers, self._keep_all(answers, wider)

    def _wish(self, cone: Cone, needs: Sequence[tuple[str, ...]], reasons: list[str]) -> Wanted:
        stamp = self._stamp()
        return Wanted(
            ra_deg=cone.ra_deg,
            dec_deg=cone.dec_deg,
            radius_deg=cone.radius_deg,
            needs=tuple(self._askable(choice) for choice in needs),
            since=stamp,
            tried=stamp,
            why="; ".join(reasons),
        )

    def _askable(self, choice: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in choice if name in self.known.by_name)

    def _why(self, choice: Sequence[str], cone: Cone, answers: Answers) -> str:
        names = " or ".join(self.title(name) for name in choice)
        where = f"{cone.ra_deg:.3f},{cone.dec_deg:+.3f},{cone.radius_deg:.2f}"
        if not (self.online or answers.failed or answers.resting):
            return (
                f"{names} is not on disc for this field and services are not asked: "
                f"alfoscd catalogues fetch --region {where}"
            )
        return f"{names} could not be had ({answers.in_words or 'no service has it'})"

    def _stamp(self) -> str:
        return self.now().isoformat(timespec="seconds")

    # ------------------------------------------------------------ keeping and reading

    def _references(
        self,
        found: Mapping[str, ReferenceCatalogue],
        serving: Sequence[str],
        reasons: list[str],
    ) -> References:
        astrometric = [found[name] for name in self._positions()]
        first = next((one for one in astrometric if len(one) or one.covered >= WHOLE), None)
        magnitudes = tuple(found[name] for name in serving if len(found[name]))
        for one in (*([first] if first else []), *magnitudes[:1]):
            if one.truncated:
                reasons.append(f"{self.title(one.name)}: only the brightest {len(one)} were given")
            elif one.covered < WHOLE:
                reasons.append(f"{self.title(one.name)} covers {one.covered:.0%} of the field")
        if not magnitudes and not reasons:
            names = ", ".join(self.title(name) for name in serving)
            reasons.append(f"{names}: none has looked at this field")
        # Colours of Gaia lead to most bands, less exactly: it stands in for what is missing.
        last = (first,) if first is not None and len(first) else ()
        return References(
            astrometric=first,
            photometric=(*magnitudes, *last),
            reasons=tuple(dict.fromkeys(reasons)),
        )

    def _positions(self) -> tuple[str, ...]:
        return tuple(facts.name for facts in self.known.astrometric())

    def _keep_all(self, answers: Answers, region: Cone) -> list[Answer]:
        """Keep on disc what services gave; return what could not be kept."""
        left = []
        for answer in answers.found:
            holding = holding_of(self.known.by_name[answer.catalogue])
            day = self.now().date().isoformat()
            if answer.truncated:
                # It says nothing about the faint rest of the region.
                left.append(answer)
                continue
            try:
                self.keep(holding, answer.rows, region, release=answer.release, day=day)
            except (OSError, UnusableCatalogue):
                left.append(answer)
        return [answer for answer in left if len(answer.rows)]

    def _passing(self, answer: Answer, cone: Cone, epoch_year: float) -> ReferenceCatalogue:
        """Return what a service gave as it is, for this time only."""
        return at_epoch(
            answer.rows,
            cone,
            epoch_year,
            holding_of(self.known.by_name[answer.catalogue]),
            covered=1.0,
            retrieved=self.now().date().isoformat(),
            truncated=answer.truncated,
            releases=[answer.release],
        )
