"""What runs over sites cost: the same training in plain text, with mutual TLS, and over three sites of one machine.

    python tests/benchmarks/site_cost.py [--rows 50000] [--features 30] [--trees 5] [--depth 5] [--rounds 3]
        [--record outputs/benchmarks/site_cost.jsonl] [--quick] [overrides of the runner …]

Each round trains in three ways, in turn, another one first each time:

- ``plain``: ``cluster=local`` with its channel in plain text. The runner has no such setting: this program takes
  mutual TLS out of gRPC in the processes that it starts, and a message then tells its sender in its metadata.
- ``local``: ``cluster=local`` as it is: mutual TLS over loopback, with certificates made for the run.
- ``remote``: three sites with certificates of an authority, control links between their drivers, and relays.

What is compared is stage ``train``: wall seconds as the label holder's driver counts them, and CPU seconds of all
processes of the run between its first and last moment. Start and checks of tables are left out: three sites import
everything three times, of which nothing is the network's. The relays stand by: they carry SPU and PSI alone; with
``--stage align align=psi`` that is measured. All models are the same, bit for bit, or the program ends.

Ratios are those of one round, with their median and range. One JSON line a measurement goes to ``--record``; what is
there for the same settings is not measured again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import psutil  # noqa: E402
from integration import launch  # noqa: E402
from integration.launch import PARTIES, Launch  # noqa: E402
from integration.test_remote import free_ports  # noqa: E402
from made_sites import credentials_of, make_sites  # noqa: E402

from runner.keys.pki import AUTHORITY, CERTIFICATE, TLS_KEY  # noqa: E402
from runner.spec.site import PORTS  # noqa: E402

WAYS = ("plain", "local", "remote")
HOLDER = "carol"
LONGEST = 7200.0  # seconds of a run
BAR = 1.05
BEFORE = {"train": "join labels", "align": "open cluster"}  # what the terminal says when the stage begins
STAGE_LINES = {"train": "train        ", "align": "align ids    "}
COMPARED = (("local", "plain"), ("remote", "local"), ("remote", "plain"))
QUICK = {"rows": 2000, "features": 9, "trees": 2, "depth": 3, "rounds": 1}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Training in plain text, with mutual TLS, and over three sites.")
    for name, value in {"rows": 50_000, "features": 30, "trees": 5, "depth": 5, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--stage", choices=BEFORE, default="train")
    parser.add_argument("--record", type=Path, default=PROJECT / "outputs" / "benchmarks" / "site_cost.jsonl")
    parser.add_argument("--quick", action="store_true", help=f"small: {QUICK}")
    options, overrides = parser.parse_known_args()
    if options.quick:
        vars(options).update(QUICK)
    launch.GIVE_UP = LONGEST
    settings = settings_of(options, overrides)
    options.record.parent.mkdir(parents=True, exist_ok=True)
    known = read_record(options.record, [*settings, options.stage])
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder), settings)
        for number in range(options.rounds):
            for way in (*WAYS[number % len(WAYS) :], *WAYS[: number % len(WAYS)]):
                if (number, way) not in known:
                    known[number, way] = ground.measure(way, options.stage)
                    line = {"settings": [*settings, options.stage], "round": number, "way": way, **known[number, way]}
                    with options.record.open("a") as record:
                        record.write(json.dumps(line) + "\n")
                told = {name: known[number, way][name] for name in ("wall", "cpu")}
                print(f"round {number + 1} {way:<6} {told['wall']:8.2f} s wall {told['cpu']:8.2f} s CPU", flush=True)
    if len({json.dumps(measured["bits"], sort_keys=True) for measured in known.values()}) != 1:
        raise SystemExit("the models differ")
    print("all models are the same, bit for bit")
    report(known, options.rounds)


def settings_of(options: argparse.Namespace, overrides: Sequence[str]) -> list[str]:
    """What is typed for every run."""
    sizes = [f"data.rows={options.rows}", f"data.features={options.features}"]
    model = [f"sgb.num_boost_round={options.trees}", f"sgb.max_depth={options.depth}"]
    return ["data=synthetic", *sizes, *model, "task=train", "report.html=false", *overrides]


def read_record(path: Path, settings: Sequence[str]) -> dict[tuple[int, str], dict[str, Any]]:
    """(Round, way) → what was measured before, with the same settings."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(line["round"], line["way"]): line for line in lines if line["settings"] == list(settings)}


def report(known: Mapping[tuple[int, str], Mapping[str, Any]], rounds: int) -> None:
    """Print the ratios, pair by pair."""
    for unit in ("wall", "cpu"):
        for one, other in COMPARED:
            ratios = sorted(known[number, one][unit] / known[number, other][unit] for number in range(rounds))
            print(
                f"{unit:>4}: {one} / {other} median {statistics.median(ratios):.3f} "
                f"(from {ratios[0]:.3f} to {ratios[-1]:.3f})"
            )
    costs = [known[number, "remote"]["cpu"] / known[number, "plain"]["cpu"] for number in range(rounds)]
    whole = statistics.median(costs)
    print(f"{'within' if whole <= BAR else 'beyond'} the bar of {BAR} for remote / plain in CPU seconds")


class Ground:
    """A folder for all parties together, and one for each at a site of its own; the keys are the same."""

    def __init__(self, folder: Path, settings: Sequence[str]) -> None:
        self._settings = settings
        self._together = folder / "together"
        self._together.mkdir()
        make_sites(folder, PARTIES)
        self._sites = {party: folder / "sites" / party for party in PARTIES}
        for party, place in self._sites.items():
            shared, own = (base / "keys" for base in (self._together / "outputs", place / "sites" / party))
            own.mkdir(mode=0o700, parents=True)
            shared.joinpath(party).mkdir(mode=0o700, parents=True)
            for name, path in zip((CERTIFICATE, TLS_KEY, AUTHORITY), credentials_of(folder, party), strict=True):
                shutil.copy(path, own / name)
            for key in (shared / party / "secret.key", own / "secret.key"):
                key.write_text(party.encode().hex().ljust(64, "0") + "\n")
                key.chmod(0o600)

    def measure(self, way: str, stage: str) -> dict[str, Any]:
        """One run: wall and CPU seconds of the stage, and digests of what came out of it."""
        with self._type(way) as launches:
            holder = launches.get(HOLDER) or launches["all"]
            holder.wait_for_line(BEFORE[stage])
            began = cpu_seconds(launches.values())
            holder.wait_for_line(f"{STAGE_LINES[stage]} done in")
            cpu = cpu_seconds(launches.values()) - began
            for one in launches.values():
                ended = one.end(LONGEST)
                if ended.code != 0:
                    raise SystemExit(ended.out + ended.err)
            manifest = json.loads(holder.folder.joinpath("manifest.json").read_bytes())
            bits = {name: manifest["hashed"]["stages"][name] for name in ("align", "train")}
        return {"wall": manifest["observed"]["seconds"][stage], "cpu": cpu, "bits": bits}

    @contextlib.contextmanager
    def _type(self, way: str) -> Iterator[dict[str, Launch]]:
        with contextlib.ExitStack() as stack:
            if way == "remote":
                ports = range(free_ports(PORTS * len(PARTIES)), 1 << 16, PORTS)
                addresses = [
                    f"parties.{party}.address=127.0.0.1:{port}" for party, port in zip(PARTIES, ports, strict=False)
                ]
                yield {
                    party: stack.enter_context(
                        Launch(
                            *("cluster=remote", "parties=sites", f"site={party}", f"self_party={party}"),
                            *(*addresses, *self._settings),
                            place=place,
                        )
                    )
                    for party, place in self._sites.items()
                }
            else:
                before = [("benchmarks.site_cost", "speak_plainly", {})] if way == "plain" else []
                yield {"all": stack.enter_context(Launch(*self._settings, place=self._together, before=before))}


def cpu_seconds(launches: Any) -> float:
    """Of all living processes of the commands."""
    total = 0.0
    for one in launches:
        for process in (one.driver, *one.driver.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system
    return total


def speak_plainly() -> None:
    """In a process that a benchmark starts: gRPC without TLS, where a message tells its sender in its metadata."""
    import grpc
    import grpc._server as served
    from cryptography import x509

    from runner.keys.pki import names_in

    sender = "sender"

    class Telling(grpc.UnaryUnaryClientInterceptor, grpc.StreamUnaryClientInterceptor):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self._name = name

        def _told(self, details: Any) -> Any:
            return details._replace(metadata=[*(details.metadata or ()), (sender, self._name)])

        def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
            return proceed(self._told(details), request)

        def intercept_stream_unary(self, proceed: Any, details: Any, requests: Any) -> Any:
            return proceed(self._told(details), requests)

    def own_name(authority: bytes, key: bytes, certificate: bytes) -> str:
        return names_in(x509.load_pem_x509_certificate(certificate))[0]

    def open_channel(address: str, name: str, options: Any) -> Any:
        return grpc.intercept_channel(grpc.insecure_channel(address, options), Telling(name))

    def listen(self: Any, address: str, credentials: Any) -> int:
        return int(self.add_insecure_port(address))

    def shown(self: Any) -> dict[str, list[bytes]]:
        told = dict(self.invocation_metadata())
        return {"x509_subject_alternative_name": [str(told[sender]).encode()]}

    grpc.ssl_channel_credentials = own_name
    grpc.secure_channel = open_channel
    served._Server.add_secure_port = listen
    served._Context.auth_context = shown


if __name__ == "__main__":
    main()
