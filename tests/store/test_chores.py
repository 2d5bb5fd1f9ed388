"""The schedule beside storaged: first after a while, then at its pace, never twice at once, and told when to end."""

from __future__ import annotations

from typing import Any

from s4gw.store.chores import FIRST_AFTER_S, Chore, Schedule, dump_chore, load_chore


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Process:
    """Stands in for a started command."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.status: int | None = None
        self.ended = False
        self.stdin = self

    def poll(self) -> int | None:
        return self.status

    def close(self) -> None:
        self.ended = True


def made(every_s: float) -> tuple[Schedule, Clock, list[Process], list[str]]:
    clock, started, lines = Clock(), list[Process](), list[str]()

    def start(command: list[str], **_options: Any) -> Process:
        started.append(Process(command))
        return started[-1]

    return Schedule([Chore(("work", "hard"), every_s)], lines.append, clock=clock, start=start), clock, started, lines


def test_a_chore_starts_after_a_while_and_then_at_its_pace() -> None:
    schedule, clock, started, lines = made(3600)
    counts = []
    for clock.now in (0, FIRST_AFTER_S - 1, FIRST_AFTER_S, FIRST_AFTER_S + 1, FIRST_AFTER_S + 3600):
        schedule.tend()
        counts.append(len(started))
        for process in started:
            process.status = 0
    assert ([0, 0, 1, 1, 2], []) == (counts, lines)


def test_one_that_still_runs_is_left_alone_and_a_failure_is_told() -> None:
    schedule, clock, started, lines = made(10)
    for clock.now in (10, 20, 30):
        schedule.tend()
    alone = len(started)
    started[0].status = 3
    clock.now = 40
    schedule.tend()
    assert (1, 2, ["work hard: exit status 3"], True) == (alone, len(started), lines, started[0].ended)


def test_running_ones_learn_that_storaged_ends() -> None:
    schedule, clock, started, _ = made(1)
    clock.now = 1
    schedule.tend()
    schedule.end()
    assert [True] == [process.ended for process in started]


def test_a_command_that_cannot_start_is_told() -> None:
    clock, lines = Clock(), list[str]()

    def start(*_arguments: Any, **_options: Any) -> Any:
        raise FileNotFoundError(2, "No such file or directory")

    schedule = Schedule([Chore(("gone",), 1)], lines.append, clock=clock, start=start)
    clock.now = 1
    schedule.tend()
    assert ["gone: No such file or directory"] == lines


def test_a_chore_is_an_argument() -> None:
    chore = Chore(("a", "b c"), 0.5)
    assert chore == load_chore(dump_chore(chore))
