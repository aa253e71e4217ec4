"""Nights as a report sees them: built by hand, so that nothing of them can move."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from daemon.account.clocks import ClockCheck
from daemon.account.completeness import FileAccount, ProductAccount, ScienceAccount
from daemon.account.debt import Debt, Standing
from daemon.account.night import NightAccount
from daemon.account.running_numbers import Run
from daemon.account.service import Service, Spread
from daemon.clock import twilights
from daemon.memory.records import FileState
from daemon.report.night_report import (
    Change,
    Check,
    Failure,
    Lost,
    Machine,
    MasterFacts,
    NightReport,
    Oddity,
    Source,
    Trend,
)
from daemon.status_lines import ProductSummary, Status, TroubleLine
from reducers.profiles import load_instrument

NIGHT = "2026-11-20"
AT = datetime(2026, 11, 21, 8, 2, tzinfo=UTC)
DUSK = datetime(2026, 11, 20, 20, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script>",
    "<!channel> *bold* <http://evil|x>",
    "SN\r\nBcc: all@example.org",
    "../../../etc/passwd",
    '=HYPERLINK("http://evil")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\u202egnp.exe",
    "nul\x00byte\x1b[2J",
    "x" * 5000,
    '"><img src=x onerror=alert(1)>',
)


def spectrum(number: int, quality: int = 0, **changed: object) -> ProductSummary:
    plain = ProductSummary(
        stem=f"ALDk20{number:04d}",
        kind="SPEC_OBJECT",
        target="AT2026abc",
        state="final",
        quality=quality,
        observed_at=DUSK + timedelta(minutes=number),
        exposure_s=1800.0,
        setup="Grism_#4 Slit_1.0 WG345 1x2",
        flags=(("NO_TRACE", "No object was found on the slit."),) if quality > 2 else (),
        measurements={"snr": 21.4, "airmass": 1.31, "fwhm_arcsec": 0.93, "flexure_px": 0.4,
                      "arc_age_h": 0.4},
        choices={},
        paths={"spectrum": f"/out/2026-11-20/AT2026abc/ALDk20{number:04d}_1d.fits"},
        version=1,
        latency_s=74.0,
        programme="72-010",
    )  # fmt: skip
    return replace(plain, **changed)


def image(number: int, quality: int = 0, **changed: object) -> ProductSummary:
    measured = {
        "seeing_arcsec": 0.81,
        "zero_point_mag": 25.69,
        "limit_5_sigma_mag": 22.4,
        "astrometry_rms_mas": 24.0,
        "transparency": 0.97,
        "zero_point_scatter_mag": 0.02,
    }
    changed = {"kind": "IMG_OBJECT", "setup": "r_SDSS 1x1", "measurements": measured, **changed}
    return spectrum(number, quality, **changed)


def master(role: str, state: str = "current", sigma: float | None = 0.3) -> MasterFacts:
    checks = (Check(name="level", value=11034.2, median=11030.0, sigma=sigma, nights=12),)
    return MasterFacts(
        key=role.lower() * 4,
        role=role,
        setup="Grism_#4 Slit_1.0 1x2" if role != "BIAS" else "1x2 D-8-200",
        frames=11,
        first="ALDk200001",
        last="ALDk200011",
        state=state,
        reason="" if state == "current" else "level is 12000; the previous 12 had 11030",
        path=f"/out/2026-11-20/calibrations/master_{role.lower()}.fits",
        sha256="ab" * 32,
        version=1,
        checks=checks,
        used_by=4,
        night=NIGHT,
        observed_at=DUSK - timedelta(hours=3),
    )


def night(
    products: tuple[ProductSummary, ...] = (),
    lost: tuple[Lost, ...] = (),
    calibrations: int = 34,
    **changed: object,
) -> NightReport:
    """Return a night whose account fits its frames."""
    kinds: dict[str, int] = {}
    for kind in [item.kind for item in (*products, *lost)]:
        kinds[kind] = kinds.get(kind, 0) + 1
    frames = {**({"BIAS": calibrations} if calibrations else {}), **kinds}
    total = sum(frames.values())
    status = Status(
        at=AT,
        database="/out/alfoscd.sqlite",
        verdict="ok",
        why=(),
        night=NIGHT,
        nights=(NIGHT,),
        frames=frames,
        files={"ingested": total},
        on_disk=total,
        products=products,
        jobs={"done": 3 * total} if total else {},
    )
    account = account_of(products, lost, total)
    plain = NightReport(
        night=NIGHT,
        at=AT,
        status=status,
        final=True,
        software="alfoscd 0.1.0, recipes 3",
        config_digest="9f31aa02",
        config_change="configuration unchanged since the report of 2026-11-19",
        account=account,
        lost=lost,
        turns=twilights(date.fromisoformat(NIGHT), load_instrument("alfosc")),
        machine=Machine(
            up_s=2_678_400.0, disc_used=0.41, disc_free_bytes=2_000_000_000_000,
            night_bytes=9_000_000_000 if total else None, database_bytes=41_000_000,
            backup="2026-11-19",
            canaries=(12, 12),
        ),
        deliveries={"sent": 23} if total else {},
        advice={"NO_TRACE": "Look at the plot."},
    )  # fmt: skip
    return replace(plain, **changed)


def account_of(
    products: tuple[ProductSummary, ...], lost: tuple[Lost, ...], total: int
) -> NightAccount:
    def of(outcome: str) -> tuple[tuple[str, str], ...]:
        return tuple((each.stem, each.reason) for each in lost if each.outcome == outcome)

    science = ScienceAccount(
        frames=len(products) + len(lost),
        final=sum(item.state == "final" for item in products),
        provisional=sum(item.state == "provisional" for item in products),
        failed=of("failed"),
        waiting=of("waiting"),
        without=of("without product"),
    )
    runs = (Run(prefix="ALDk20", first=1, last=total, width=4, missing=()),) if total else ()
    spread = Spread(count=len(products), p50_s=74.0, p95_s=190.0, max_s=812.0)
    service = Service(untouched_nights=3)
    if products:
        service = replace(service, arrival_to_product=spread, shutter_to_product=spread)
    return NightAccount(
        night=NIGHT,
        files=FileAccount(on_disc=total, counts={FileState.INGESTED: total}),
        science=science,
        products=ProductAccount(files=8 * len(products)),
        runs=runs,
        clocks=ClockCheck(frames=total, offset_s=3.0 if total else None),
        service=service,
    )


def lost(number: int, outcome: str = "failed", **changed: object) -> Lost:
    plain = Lost(
        stem=f"ALDk20{number:04d}", kind="SPEC_OBJECT", target="AT2026abc", programme="72-010",
        outcome=outcome, reason="the overscan is saturated",
    )  # fmt: skip
    return replace(plain, **changed)


def perfect() -> NightReport:
    masters = tuple(master(role) for role in ("ARC", "BIAS", "FLAT", "RESPONSE"))
    trend = Trend(name="read noise D-8-200", unit="ADU", value=30.9, sigma=0.2, standing="ok")
    line = "  read noise D-8-200         ▁▃▅▇▂▄▆█▁▃▅▇▂▄▆█▁▃▅▇▂▄▆█▁▃▅▇▂▄ 30.90 ADU     ok +0.2"
    source = Source(
        name="ALFOSC26abc", stem="ALDk200203", target="AT2026abc", programme="72-010",
        standing="new", headline="GREEN: new, r 19.80, 4.1 arcsec off", told="told (urgent)",
    )  # fmt: skip
    change = Change(
        stem="ALDk200201", target="AT2026abc", programme="72-010", automatic=True,
        sentence="upgraded: other ARC, quality 2 -> 0, S/N 30 -> 35",
    )  # fmt: skip
    return night(
        (spectrum(201), spectrum(202, 1, kind="SPEC_STD", target="SP0305+261"), image(203)),
        masters=masters,
        trends=(trend,),
        trend_lines=(line,),
        sources=(source,),
        changes=(change,),
    )


def bad() -> NightReport:
    everything = tuple(lost(n) for n in range(201, 207))
    job = Failure(
        kind="build_master", about="BIAS of 2026-11-20", error="level is 12000", name="master:1"
    )
    trouble = TroubleLine(
        path="/raw/ALDk200300.fits", state="quarantined", reason="empty", since=AT
    )
    debt = Debt(
        setup="Grism_#4 Slit_1.0 1x2", role="BIAS", standing=Standing.MISSING, frames=6,
        take="11 biases, 1x2, shutter closed, any time",
    )  # fmt: skip
    failures = tuple(
        Failure(kind="reduce_frame", about=each.stem, error=each.reason, name=each.stem)
        for each in everything
    )
    return night(
        lost=everything,
        masters=(master("BIAS", "rejected", 8.1),),
        failures=(*failures, job),
        troubles=(trouble,),
        debts=(debt,),
        deliveries={"dead": 2, "sent": 4},
        oddities=(Oddity(sentence="first grism 'Grism_#20' ever (6 frames, first ALDk200201)"),),
    )


def long_night() -> NightReport:
    spectra = tuple(spectrum(n, (0, 0, 1, 2, 3)[n % 5]) for n in range(1, 201))
    return night((*spectra, *(image(n) for n in range(201, 267))), masters=(master("BIAS"),))


def hostile() -> NightReport:
    products = tuple(
        spectrum(n, 3, target=text, flags=(("NO_TRACE", text),), programme=text[:60])
        for n, text in enumerate(HOSTILE, start=1)
    )
    gone = tuple(lost(100 + n, target=text, reason=text or "x") for n, text in enumerate(HOSTILE))
    return night(
        products,
        gone,
        comment=HOSTILE[1],
        troubles=(TroubleLine(path=HOSTILE[3], state="held", reason=HOSTILE[0], since=AT),),
        oddities=tuple(Oddity(sentence=f"OBJECT '{text}'") for text in HOSTILE),
        failures=tuple(
            Failure(kind="reduce_frame", about="x", error=text, name="x") for text in HOSTILE
        ),
    )
