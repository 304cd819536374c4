"""What the drivers of several sites say to each other about a run, and how it is read: nothing is taken on trust.

A peer's driver passes on what its own worker reports: the parts of that which every site may know. Each message is of
one of the forms here, speaks of the peer's own party alone, and counts in its phase of the run: one that comes early is
kept for it, as a faster peer's is. Anything else ends the run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from runner.cluster.channel import Channel, Message
from runner.errors import ClusterError, SecurityError
from runner.spec.base import PartyName
from runner.spec.model import Stage

Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Name = Annotated[str, Meta(pattern=r"^[a-z_]{1,30}\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Port = Annotated[int, Meta(ge=1, le=65535)]
LONGEST = 1000  # characters of a text
_UNREADABLE = "\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069"  # what a terminal obeys, and does not show
Text = Annotated[str, Meta(pattern=rf"^[^{_UNREADABLE}]*\Z", max_length=LONGEST)]
Denial = Annotated[list[Text], Meta(min_length=6, max_length=6)]  # a flow, and the line that would have to allow it
_PLACE = re.compile(r"party ([a-z][a-z0-9_]{0,30}), stage [a-z_]{1,30}")
Many = Meta(max_length=10_000)  # entries of a list or of an object
Texts = Annotated[dict[Text, Text], Many]
MOST_SAID = 200_000  # messages of one site in a run; a large one has some thousand trees
OF_DOCTOR = {"event", "versions", "values"}  # what a doctor's first message has
MOST_EARLY = 100  # messages that count in later phases; a site says a handful


class _Said(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event"):
    pass


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    """What :func:`runner.environment.machine` finds. (A type for any such value crashes msgspec 0.22.)"""

    platform: Text
    cores: Count | None
    cpu_flags: Annotated[list[Text], Many]
    variables: Texts


class Hello(_Said, frozen=True, tag="hello"):
    """What a site was given and has: compared before any work.

    Attributes:
        spec: the shared values of its spec.
        versions: package → version, of those that the protocol rests on.
        machine: what its machine is, for the manifest.
        crew: the name of the crew that stands at the site from an earlier run; empty: none.
        denied: the flows that its party's grants deny, each with the line that would have to allow it.
        share: its random part of the run's secret name.
        links: the port where its relay listens.
        repeats: the digest of the run that it repeats; empty: none.
    """

    spec: dict[str, Any]
    versions: Texts
    machine: Machine
    crew: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
    denied: Annotated[list[Denial], Many]
    share: Hex
    links: Port
    repeats: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""


class Checked(_Said, frozen=True, tag="checked"):
    """Its table keeps its contract, or it brings none."""


class Listening(_Said, frozen=True, tag="listening"):
    port: Port
    sequence: Count


class StageSaid(_Said, frozen=True, tag="stage"):
    stage: Name
    state: Literal["started", "done"]


class Tree(_Said, frozen=True, tag="tree"):
    trees: Annotated[int, Meta(ge=1)]
    of: Count | None = None


class Fold(_Said, frozen=True, tag="fold"):
    fold: Count


class Continues(_Said, frozen=True, tag="continues"):
    trees: Count


class Done(_Said, frozen=True, tag="done"):
    sent: Annotated[dict[Text, Annotated[dict[Text, Count], Many]], Many]
    facts: Annotated[dict[Text, Annotated[dict[Text, Texts], Many]], Many]
    kept_keys: bool
    clean: bool


class Audited(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a party's audit log goes."""

    lines: Count
    head: Text


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """A party's signature under the run's manifest, and the state of its own records."""

    digest: Hex
    rest: Hex
    audit: Audited
    files: Texts
    key: Text
    signature: Text


class Attested(_Said, frozen=True, tag="attested"):
    signatures: Annotated[dict[Text, Signature], Many]


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """An error, as :func:`told` tells it: there is nothing in it that a terminal would obey."""

    type: Annotated[str, Meta(pattern=r"^(?!Stopped)[A-Za-z]{1,30}\Z")]  # a stop is the own driver's word
    what: Text
    where: Text
    why: Text
    fix: Text


class Failed(_Said, frozen=True, tag="failed"):
    """Why its run ended, as far as others may know."""

    party: PartyName
    stage: Name
    error: Failure
    secondary: bool = False


Said = Hello | Checked | Listening | StageSaid | Tree | Fold | Continues | Done | Attested | Failed
_FIELDS = {
    kind.__struct_config__.tag: ("event", *kind.__struct_fields__)
    for kind in (Checked, Listening, StageSaid, Tree, Fold, Continues, Done, Attested)
}
_OF_PARTY = {"done": "facts", "attested": "signatures"}


def said_to_all(message: Message) -> Message | None:
    """Of what a worker reports, what the drivers of other sites are told; None: nothing."""
    fields = _FIELDS.get(message["event"])
    return None if fields is None else {name: message[name] for name in fields if name in message}


class PeerChannel(Channel):
    """The connection to another site's driver; it gives back what that may say, when it may.

    Attributes:
        said: how many messages it has brought in this run.
    """

    def __init__(self, party: str, channel: Channel) -> None:
        super().__init__(channel._connection)
        self.party = party
        self._early: list[Message] = []
        self.said = 0

    def read(self, phase: Collection[str]) -> tuple[list[Message], bool]:
        """Once readable: the messages that count in this phase, and whether the connection still stands.

        Raises:
            SecurityError: for a message that no peer may send.
        """
        messages, standing = self.receive_ready()
        self.said += len(messages)
        if self.said > MOST_SAID:
            raise self._refused("it says more than a site has to say")
        self._early += [self._valid(message) for message in messages]
        now = self.kept(phase)
        if len(self._early) > MOST_EARLY:
            raise self._refused("it says more than a site has to say before its time")
        return now, standing

    def kept(self, phase: Collection[str]) -> list[Message]:
        """The messages that came before this phase and count in it."""
        early, self._early = self._early, []
        now: list[Message] = []
        for message in early:
            (now if message["event"] in {*phase, "failed"} else self._early).append(message)
        return now

    def _valid(self, message: Message) -> Message:
        try:
            said = msgspec.convert(message, Said)
        except msgspec.ValidationError as error:
            if message.get("event") == "hello" and message.keys() == OF_DOCTOR:
                raise ClusterError(
                    f"the site of {self.party} runs task=doctor",
                    where=f"party {self.party}, before the first stage",
                    why="it meets the doctors of other sites, and no run",
                    fix=f"wait until {self.party}'s doctor has ended, then start again at all sites",
                ) from None
            raise self._refused(f"{str(message.get('event'))[:20]!a}: {str(error)[:120]!a}") from None
        event = str(message["event"])
        if event in _OF_PARTY and not set(message[_OF_PARTY[event]]) <= {self.party}:
            raise self._refused(f"{event!r} speaks of another party")
        return {**msgspec.to_builtins(said), "event": event}

    def _refused(self, why: str) -> SecurityError:
        return SecurityError(
            f"the site of {self.party} said what it may not say",
            where=f"party {self.party}, control channel",
            why=why,
            fix=f"let {self.party}'s operator run the same version of the runner; if it does, do not trust that site",
        )


def told(error: Mapping[str, Any], party: str, stage: str) -> dict[str, str]:
    """An error as other sites may read it: what happened, at whom and in which stage.

    No path and no cause in detail; of a party's table and model, no name of a column and no count either.

    Args:
        party, stage: of the site that tells it; what it was itself told of a third party keeps that one's.
    """
    kind = str(error["type"])
    place = _PLACE.fullmatch(str(error["where"]))
    what = re.sub(f"[{_UNREADABLE}]+", " ", str(error["what"]))
    if kind in _OF_DATA:
        what = _NUMBER.sub("…", _QUOTED.sub(_unless_stage, what))
    return {
        "type": "ClusterError" if kind == "Stopped" else kind,
        "what": what[:LONGEST],
        "where": place[0] if place else f"party {party}, stage {stage}",
        "why": f"it was told by the site of {party}",
        "fix": f"ask {place[1] if place else party}'s operator: the terminal there says why, and what to do",
    }


_OF_DATA = ("DataError", "StageError", "BundleError")
_QUOTED = re.compile(r"(?<!\w)(['\"])(.*)\1(?!\w)")  # up to the last quotation mark: a name may have some in it
_NUMBER = re.compile(r"(?<![\w.])\d[\d.,]*(?!\w)")
_STAGES = {*get_args(Stage), "agree", "validate", "open", "attest", "start"}


def _unless_stage(quoted: re.Match[str]) -> str:
    return quoted[0] if quoted[2] in _STAGES else "'…'"
