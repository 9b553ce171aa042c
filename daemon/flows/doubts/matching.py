"""Pure: which of the items that Toloka shows are those of a batch in doubt."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from daemon.flows.doubts.scanning import Taken, earliest
from daemon.flows.records.items import identity_of, standing
from daemon.flows.skew import SKEW
from daemon.model import EPOCH, Batch, Created, Item, Likeness


def matched(batch: Batch, candidates: Sequence[Created], taken: Taken) -> Batch:
    """The batch with everything adopted that is there; by the ledger's word first, then by content."""
    rest = batch.besides(taken.accounted).with_possible()
    used = {*taken.accounted.values(), *taken.elsewhere, *(item_id for _, item_id in batch.adopted)}
    # What is further from the time of the first attempt more likely belongs to another way that seeks it.
    since = batch.since or EPOCH
    free = sorted(
        (c for c in candidates if c.item_id not in used),
        key=lambda c: (abs(c.created_at - since), c.created_at, c.item_id),
    )
    pairs = _paired(rest.items, free, own_ids(rest), earliest(since))
    ids = {index: created.item_id for index, created in pairs.items()}
    return rest.adopting(ids, (created.created_at for created in pairs.values())).without_possible()


def alike(batch: Batch) -> Callable[[Created], bool]:
    """Whether an item may be one of the batch's, by its likeness or an id that we gave."""
    sought, given = {item.likeness for item in batch.items}, own_ids(batch)
    return lambda each: each.likeness in sought or each.own_id in given


def are_all_among(batch: Batch, listed: Sequence[Created]) -> bool:
    """Whether each item of the batch may be one of these."""
    seen, ids = {each.likeness for each in listed}, {each.own_id for each in listed}
    given = {index for own_id, index in own_ids(batch).items() if own_id in ids}
    return all(item.likeness in seen or index in given for index, item in enumerate(batch.items))


def plausible(batch: Batch, since: datetime, candidates: Sequence[Created]) -> Sequence[Created]:
    """Those that the batch may have created.

    What is from long before its first attempt may be its own, by a clock that is far behind: where it has ids
    of ours, or where it is the whole batch, of several contents, created at once. Anything else is somebody
    else's, who has sent the same before.
    """
    if batch.identified:
        return candidates
    begun = earliest(since)
    recent = [each for each in candidates if each.created_at >= begun]
    older = [each for each in candidates if each.created_at < begun]
    latest = max((each.created_at for each in older), default=begun)
    at_once = [each for each in older if latest - each.created_at <= SKEW]
    wanted = Counter(item.likeness for item in batch.items)
    is_whole = len(wanted) > 1 and wanted <= Counter(each.likeness for each in at_once)
    return [*recent, *at_once] if is_whole else recent


def own_ids(batch: Batch) -> Mapping[str, int]:
    """The ids that tolokad has given to items, with the items' indexes: no other item has one of these."""
    where = standing(batch.topic, batch.partition)
    given = ((index, item) for index, item in enumerate(batch.items) if item.identified)
    return {identity_of(where, item.record.offset): index for index, item in given}


def _paired(
    items: Sequence[Item], free: Sequence[Created], own_ids: Mapping[str, int], begun: datetime
) -> Mapping[int, Created]:
    """Item index to created item, each once; of equal likeness, in any order.

    An item that has an id of ours is ours, too, where Toloka gives it back with other content, such as null
    for a field that was not sent; unless it is from before `begun`: a topic that was made anew has had other
    records at the same offsets.
    """
    by_likeness: dict[Likeness, list[Created]] = defaultdict(list)
    for created in reversed(free):
        by_likeness[created.likeness].append(created)
    pairs = ((i, by_likeness.get(item.likeness)) for i, item in enumerate(items))
    found = {index: alike.pop() for index, alike in pairs if alike}
    used = {each.item_id for each in found.values()}
    lately = (each for each in reversed(free) if each.created_at >= begun)
    rest = (each for each in lately if each.own_id in own_ids and each.item_id not in used)
    return {**{own_ids[each.own_id]: each for each in rest}, **found}
