"""What a run hears that gets no place: whose limit, which one, and when it may go better."""

from penstock.engine.limits.level import NEVER, Bound
from penstock.engine.limits.path import Block, Path
from penstock.errors import LimitReached, Unavailable

LEAST_S = 1.0
MOST_S = 60.0


def no_place(path: Path, block: Block, now: float, waited_ms: int) -> LimitReached:
    """The refusal of a run that nobody lets wait (longer); `waited_ms` 0 = not at all."""
    bound = block.bound
    after = f" after {waited_ms} ms of waiting" if waited_ms else ""
    return LimitReached(
        f"{bound.level} {_reached(block)}{after}",
        where=bound.source[block.limit],
        now="try again later; a higher limit takes more",
        retry_after_s=retry_after_s(path, block, now, bound.level.waiting[0]),
        level=str(bound.level),
        limit=block.limit,
    )


def queue_full(path: Path, full: Bound, block: Block, now: float) -> LimitReached:
    """The refusal of a run when as many wait at `full` as may."""
    return LimitReached(
        f"{full.level} has {full.depth} runs waiting already, and {block.bound.level} {_reached(block)}",
        where=full.source["queueDepth"],
        now="try again later; a deeper queue holds more",
        retry_after_s=retry_after_s(path, block, now, full.depth),
        level=str(full.level),
        limit="queueDepth",
    )


def state_gone(problem: str) -> Unavailable:
    """The refusal of every run while the state that executors share is away and that is to be closed."""
    return Unavailable(
        f"the limits that executors share cannot be asked: {problem}",
        where="redis_url",
        now="try again in a moment; `whenSharedIsGone: open` would hold the limits in each executor alone",
    )


def retry_after_s(path: Path, block: Block, now: float, ahead: int) -> float:
    """Seconds: until the window has room, or until as many places came back as runs wait; 1 to 60."""
    if block.limit == "ratePerMinute" and block.due != NEVER:
        wanted = block.due - now
    else:
        wanted = path.stay_s * (ahead + 1) / max(block.bound.concurrency, 1)
    return min(max(wanted, LEAST_S), MOST_S)


def _reached(block: Block) -> str:
    figure = block.bound.figure(block.limit)
    if block.limit == "ratePerMinute":
        return f"had its {figure} runs that may begin in a minute"
    return f"has its {figure} runs at once"
