"""What an abstention counts as: by name, without a number."""

from __future__ import annotations

from typing import Literal, get_args

from judgelab.errors import ConfigError

Policy = Literal["error", "as_fail", "as_pass", "exclude"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


def check_policy(policy: str) -> Policy:
    """The policy, if it is one.

    Raises:
        ConfigError: it is not.
    """
    for known in POLICIES:
        if policy == known:
            return known
    raise ConfigError(
        f"scores.policy={policy} is not a policy for abstentions; choose one of "
        f"{', '.join(POLICIES)} (scores.policy=... or --policy ...)"
    )


def headline(policy: str) -> Policy:
    """The policy whose numbers may choose: `error` in place of `exclude`, under which a judge that
    answers only what is easy would win.

    Raises:
        ConfigError: it is not a policy.
    """
    known = check_policy(policy)
    return "error" if known == "exclude" else known
