"""Which items belong together, and to which part they go.

An item is known by several keys: its content, its input (unless the input is an instruction that
many items share) and its group. Items with a key in common belong together, and so do items with
nearly the same text. An item that is in the ledger by its content never moves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgelab.data.duplicates import components, near_duplicates, normalised, pairs_by
from judgelab.data.ledger import INSTRUCTION, QUARANTINED, Slot
from judgelab.types import Example, Interaction, Label, sha256

CONSTANT_INPUT = 0.2  # an input shared by more of the items is an instruction, not an identity
FEW = 4  # items that may share anything in a small dataset
LARGE = 0.05
DIGITS = 16  # of a hash in a key

Known = Mapping[str, Slot]


@dataclass(frozen=True)
class Identities:
    """Of each example its keys (content first, the strongest last) and its component."""

    keys: list[tuple[str, ...]]
    components: list[int]
    instructions: frozenset[str]  # keys of the inputs that are taken for constant
    notes: list[str]


def identify(
    examples: Sequence[Example], known: Known, group: str | None, same_input: str
) -> Identities:
    """Who belongs together. `known` decides what was decided before, so that nobody moves."""
    input_keys = [
        f"input:{sha256(normalised(example.interaction.input))[:DIGITS]}" for example in examples
    ]
    instructions = _instructions(input_keys, known)
    ignored = set(input_keys) if same_input == "apart" else instructions
    keys = []
    for example, input_key in zip(examples, input_keys, strict=True):
        own = [content_key(example.interaction)]
        if input_key not in ignored:
            own.append(input_key)
        if name := group_of(example.interaction, group):
            own.append(f"group:{name}")
        keys.append(tuple(own))

    def text(at: int) -> str:
        """Made where it is looked at: together they are as large as the data."""
        item = examples[at].interaction
        return f"{'' if input_keys[at] in ignored else item.input}\n{item.output}"

    together = _together(keys, text, known)
    notes = [
        f"{input_keys.count(key)} of {len(examples)} items have the same input; it is taken for a "
        "constant instruction, and only their groups and outputs tell them apart."
        for key in sorted(instructions & set(input_keys))
        if same_input == "together"
    ]
    notes += _large(examples, together, [group_of(e.interaction, group) for e in examples])
    return Identities(keys, together, frozenset(instructions), notes)


def assign(
    examples: Sequence[Example],
    identities: Identities,
    known: Known,
    shares: Mapping[Slot, float],
    seed: int,
) -> list[Slot]:
    """The slot of each example; `shares` are the slots to fill and their shares of each label.

    Who is known stays. Who belongs to somebody known joins them; who would belong to two slots is
    quarantined. New components go, the largest first and then by hash, where labels lack most. In
    a holdout, what was chosen from in cv has been seen: it moves on to train or dev, never to test.
    """
    in_cv = all(part == "cv" for part, _ in shares)
    total = Counter(example.label for example in examples)
    held: dict[Slot, Counter[Label]] = {slot: Counter() for slot in shares}
    slots = [QUARANTINED] * len(examples)
    waiting: list[tuple[int, int, str, list[int], list[Slot]]] = []

    def settle(members: Iterable[int], slot: Slot) -> None:
        for i in members:
            slots[i] = slot
            if slot in held:
                held[slot][examples[i].label] += 1

    for members in _by(identities.components).values():
        old = {known[key] for i in members for key in identities.keys[i] if key in known}
        settled = {slot for slot in old if in_cv or slot[0] != "cv"}
        seen = bool(old - settled)
        if not settled:
            order = sha256(f"{seed}:{min(identities.keys[i][-1] for i in members)}")
            allowed = [slot for slot in shares if not (seen and slot[0] == "test")]
            waiting.append((len(allowed), -len(members), order, members, allowed))
        elif len(settled) == 1 and not (seen and ("test", -1) in settled):
            settle(members, *settled)
        else:
            for i in members:
                settle([i], _own(known.get(identities.keys[i][0]), settled))
    for *_, members, allowed in sorted(waiting):
        own = Counter(examples[i].label for i in members)
        lacks = {slot: _lack(own, shares[slot], total, held[slot]) for slot in allowed}
        settle(members, max(allowed, key=lacks.__getitem__, default=QUARANTINED))
    return slots


def entries(
    identities: Identities, slots: Sequence[Slot], known: Known, *, in_cv: bool
) -> dict[str, Slot]:
    """What the ledger has to learn: new keys, and those that leave cv.

    In cv nobody is quarantined for good: a held-out test is yet to come.
    """
    places: dict[str, set[Slot]] = defaultdict(set)
    for keys, slot in zip(identities.keys, slots, strict=True):
        for key in keys:
            places[key].add(slot)
    found = dict.fromkeys(identities.instructions - known.keys(), INSTRUCTION)
    for key, there in places.items():
        slot = next(iter(there)) if len(there) == 1 else QUARANTINED
        before = known.get(key)
        leaves_cv = before is not None and before[0] == "cv" and not in_cv
        if (before is None or leaves_cv) and not (in_cv and slot == QUARANTINED):
            found[key] = slot
    return found


def content_key(interaction: Interaction) -> str:
    """The key of an item by its texts, which is all that keeps it in its place."""
    return f"content:{interaction.content[:DIGITS]}"


def group_of(interaction: Interaction, path: str | None) -> str | None:
    """The value at a dotted path such as context.question_id, or the field `group`."""
    if path is None or path == "group":
        return interaction.group or None
    at: Any = {"context": interaction.context, "dimensions": interaction.dimensions}
    for step in path.split("."):
        at = at.get(step) if isinstance(at, Mapping) else None
    return None if at in (None, "") else str(at)


def _together(
    keys: Sequence[tuple[str, ...]], text: Callable[[int], str], known: Known
) -> list[int]:
    """Components by keys and text. An item that is quarantined already connects nobody."""
    kept = [i for i, own in enumerate(keys) if known.get(own[0]) != QUARANTINED]
    flat = [(key, n) for n, i in enumerate(kept) for key in keys[i]]
    shared = [(flat[a][1], flat[b][1]) for a, b in pairs_by([key for key, _ in flat])]
    alike = near_duplicates(kept, shared, text)
    return components(len(keys), [(kept[a], kept[b]) for a, b in [*shared, *alike]])


def _by(keys: Sequence[Any]) -> dict[Any, list[int]]:
    """Indices by their key."""
    found: dict[Any, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        found[key].append(index)
    return found


def _instructions(input_keys: Sequence[str], known: Known) -> set[str]:
    """Inputs that are too common to be an identity. Once decided, it stays decided."""
    many = max(CONSTANT_INPUT * len(input_keys), FEW)
    common = {key for key, n in Counter(input_keys).items() if n > many}
    before = {key for key, slot in known.items() if slot == INSTRUCTION}
    return {key for key in common if key not in known} | before


def _own(slot: Slot | None, settled: set[Slot]) -> Slot:
    return slot if slot in settled and slot is not None else QUARANTINED


def _lack(own: Counter[Label], share: float, total: Counter[Label], held: Counter[Label]) -> float:
    """How much a part that is to hold `share` of each label still lacks of what `own` brings."""
    return sum(n * (share * total[label] - held[label]) / total[label] for label, n in own.items())


def _large(
    examples: Sequence[Example], together: Sequence[int], groups: Sequence[str | None]
) -> list[str]:
    """A note where components are large for another reason than a large group."""
    found = []
    for members in _by(together).values():
        largest = max(Counter(groups[i] for i in members if groups[i]).values(), default=1)
        if len(members) > max(LARGE * len(examples), FEW, largest):
            found.append(members)
    if not found:
        return []
    largest_one = max(found, key=len)
    others = f", and {len(found) - 1} more such sets" if len(found) > 1 else ""
    return [
        f"{len(largest_one)} items stay together because they share inputs or nearly the same text "
        f"(one is {examples[largest_one[0]].id!r}){others}. If their input is only an instruction, "
        "set split.same_input=apart under a new split.name."
    ]
