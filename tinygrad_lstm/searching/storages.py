"""Where a search is kept: a database by Optuna, in a file of SQLite or on a PostgreSQL.

Several processes, on one machine or many, work on one storage. What a worker holds it says to be
alive by a heartbeat; what a killed one held is waiting again after a while. Nothing is pickled:
cells are stored by name, mutants by their changes, and numbers as JSON.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tinygrad_lstm.atomic import hold
from tinygrad_lstm.searching.databases import optuna, reached, whole_address, without_password
from tinygrad_lstm.searching.spaces import Range, Scalar, SearchError, Space, parse_space

T = TypeVar("T")
HEARTBEAT, GRACE = 5, 30  # seconds between two, and after which one is missed
RETRIES = 3
PATIENCE = 300.0  # seconds that a worker waits for a database that does not answer


@dataclass(frozen=True)
class Job:
    """A configuration that this process has taken: `trial` is its id in the storage.

    number: which configuration it is; attempts: how many have ended without a result before.
    """

    trial: int
    number: int
    values: Mapping[str, Scalar]
    notes: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True)
class Done:
    """A configuration with what came of it; value: what is minimised, None where it failed."""

    number: int
    state: str
    value: float | None
    values: Mapping[str, Scalar]
    notes: Mapping[str, Any]
    seconds: float


class Storage:
    """A search in a database.

        storage = Storage.create(read_space("odyssey.toml"), "sqlite:///odyssey.db")
        storage = Storage.open("sqlite:///odyssey.db")
        storage.results()

    heartbeat, grace: seconds from one sign of life to the next, and after which a worker counts as
    killed. retries: how often a configuration is taken again. patience: how long a database that
    does not answer is waited for. SearchError for one that cannot be reached or is of another use.
    """

    space: Space

    def __init__(
        self,
        address: str,
        *,
        heartbeat: int = HEARTBEAT,
        grace: int = GRACE,
        retries: int = RETRIES,
        patience: float = PATIENCE,
    ) -> None:
        found = optuna()
        self.address, self.shown = whole_address(address), without_password(address)
        self.heartbeat, self.retries, self.patience = heartbeat, retries, patience
        self.options = dict(heartbeat=heartbeat, grace=grace, retries=retries, patience=patience)
        local = self.address.startswith("sqlite")
        connect: dict[str, Any] = {"timeout": 60} if local else {"connect_timeout": 10}
        with self._reached():
            self._rdb: Any = found.storages.RDBStorage(
                self.address,
                engine_kwargs={"connect_args": connect, "pool_pre_ping": not local},
                heartbeat_interval=heartbeat,
                grace_period=grace,
                heartbeat_stale_trial_callback=found.storages.RetryHeartbeatStaleTrialCallback(
                    max_retry=retries
                ),
            )
        self._file = Path(self.address.partition(":///")[2]) if local else None
        self._states = found.trial.TrialState
        self._missing: set[int] = set()
        self._configurations: list[dict[str, Scalar]] = []

    @classmethod
    def create(cls, space: Space, address: str, **options: Any) -> Storage:
        """The search of a space in a database, made where it is not there yet.

        SearchError where the database has another search of this name.
        """
        self = cls(address, **options)
        found = optuna()
        with self._reached():
            names = found.study.get_all_study_names(storage=self._rdb)
            if space.name not in names:
                with contextlib.suppress(found.exceptions.DuplicatedStudyError):
                    found.create_study(study_name=space.name, storage=self._rdb)
            self._load(space.name)
            stored = self._study.user_attrs.get("space")
            if stored is None and not self._study.get_trials(deepcopy=False):
                self._study.set_user_attr("space", space.text)
                stored = space.text
        if stored != space.text:
            raise SearchError(
                f"{self.shown} has another search called {space.name!r}.\n"
                f'  Give this one another name, as in name = "{space.name}-2", or another storage.'
            )
        self.space = space
        self.add_missing()
        return self

    @classmethod
    def open(cls, address: str, name: str | None = None, **options: Any) -> Storage:
        """A search that is in a database already; name: which, where there are several."""
        path = Path(whole_address(address).partition(":///")[2])
        if whole_address(address).startswith("sqlite") and not path.exists():
            raise SearchError(f"there is no search in {path}, which does not exist.")
        self = cls(address, **options)
        with self._reached():
            names = optuna().study.get_all_study_names(storage=self._rdb)
        if not names:
            raise SearchError(f"{self.shown} has no search.")
        if name is None and len(names) > 1:
            raise SearchError(
                f"{self.shown} has several searches: {', '.join(sorted(names))}.\n"
                f"  Say which with --name NAME."
            )
        name = name or names[0]
        if name not in names:
            raise SearchError(
                f"{self.shown} has no search called {name!r}; it has {', '.join(sorted(names))}."
            )
        with self._reached():
            self._load(name)
            text = self._study.user_attrs.get("space")
        if not isinstance(text, str):
            raise SearchError(f"{self.shown}: {name!r} was not made by tinygrad-lstm search.")
        self.space = parse_space(text, f"the search {name!r}", name)
        return self

    def close(self) -> None:
        """End the connections; `with Storage.open(…) as storage` does so at its end."""
        with contextlib.suppress(Exception):  # of a database that is away
            self._rdb.remove_session()
            self._rdb.engine.dispose()

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, name: str) -> None:
        self._study: Any = optuna().load_study(study_name=name, storage=self._rdb)
        self._id: int = self._rdb.get_study_id_from_name(name)

    # --- the database, which may be away ----------------------------------------------------------
    def _reached(self) -> contextlib.AbstractContextManager[None]:
        return reached(self.shown)

    def patiently(self, do: Callable[[], T]) -> T:
        """Do something with the database, again and again while it does not answer."""
        begun, pause = time.monotonic(), 0.5
        while True:
            try:
                with self._reached():
                    return do()
            except SearchError:
                if time.monotonic() - begun > self.patience:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, 10.0)

    # --- configurations ---------------------------------------------------------------------------
    def add_missing(self) -> int:
        """Add the configurations that are neither waiting, nor at work, nor done; how many."""
        return self.patiently(self._add_missing)

    def _add_missing(self) -> int:
        missing = self._unattended()
        for number in missing:
            self._add(number, self._states.WAITING, None, {})
        return len(missing)

    def distribution(self, name: str) -> Any:
        """What a hyper-parameter is drawn from, as Optuna calls it."""
        found = optuna().distributions
        if name == "cell":
            return found.CategoricalDistribution(self.space.cells)
        if name == "seed":
            return found.IntDistribution(0, 2**31)
        variable = self.space.drawn[name]
        if not isinstance(variable, Range):
            return found.CategoricalDistribution(variable.values)
        if variable.integer:
            return found.IntDistribution(int(variable.low), int(variable.high), log=variable.log)
        return found.FloatDistribution(variable.low, variable.high, log=variable.log)

    def _unattended(self) -> list[int]:
        """The configurations that nobody has or will have, unless they failed too often."""
        failed: dict[int, int] = {}
        live = set[int]()
        for trial in self._study.get_trials(deepcopy=False):
            number = trial.user_attrs.get("configuration")
            if trial.state == self._states.FAIL:
                failed[number] = failed.get(number, 0) + 1
            else:
                live.add(number)
        every = range(self.space.trials)
        return [n for n in every if n not in live and failed.get(n, 0) <= self.retries]

    def take(self) -> Job | None:
        """A configuration that waits, which is this process's now; None where none waits."""
        return self.patiently(self._take)

    def _take(self) -> Job | None:
        optuna().storages.fail_stale_trials(self._study)
        with self._alone():
            waiting = self._study.get_trials(deepcopy=False, states=(self._states.WAITING,))
            complete = self._complete() if waiting else set[int]()
            for trial in sorted(waiting, key=lambda t: t.user_attrs["configuration"]):
                own = self._rdb.get_trial_id_from_study_id_trial_number(self._id, trial.number)
                # a sign of life first: who holds a trial without one would never be missed
                self._rdb.record_heartbeat(own)
                with contextlib.suppress(optuna().exceptions.UpdateFinishedTrialError):
                    if not self._rdb.set_trial_state_values(own, self._states.RUNNING):
                        continue
                    notes = trial.user_attrs.get("begun", {})
                    number = trial.user_attrs["configuration"]
                    if number in complete:  # by a worker that counted as killed, and was not
                        self._rdb.set_trial_state_values(own, self._states.FAIL)
                        continue
                    attempts = len(trial.system_attrs.get("retry_history", []))
                    return Job(own, number, dict(trial.params), notes, attempts)
        return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """SQLite knows no lock of a row: one process at a time looks for what waits."""
        if self._file is None:
            yield
            return
        while True:
            with contextlib.ExitStack() as held:
                try:
                    held.enter_context(hold(self._file))
                except BlockingIOError:
                    time.sleep(0.02)
                    continue
                yield
                return

    @contextlib.contextmanager
    def alive(self, job: Job) -> Iterator[None]:
        """Give signs of life for a job until it ends."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self.heartbeat):
                with contextlib.suppress(Exception):  # a database that is away comes back, or not
                    self._rdb.record_heartbeat(job.trial)
            self._rdb.remove_session()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def note(self, job: Job, notes: Mapping[str, Any]) -> None:
        """Store something with a job before it ends, such as which mutant it is."""

        def write() -> None:
            with contextlib.suppress(optuna().exceptions.UpdateFinishedTrialError):
                self._rdb.set_trial_user_attr(job.trial, "begun", dict(notes))

        self.patiently(write)

    def finish(self, number: int, value: float, notes: Mapping[str, Any], job: Job | None) -> None:
        """Store the result of a configuration.

        Where the job is not this process's any more, since no sign of life came through, or there
        is none, the result is added; who waits to compute it again need not.
        """
        self.patiently(lambda: self._finish(number, value, notes, job))

    def _finish(self, number: int, value: float, notes: Mapping[str, Any], job: Job | None) -> None:
        if job is not None:
            with contextlib.suppress(optuna().exceptions.UpdateFinishedTrialError):
                self._rdb.set_trial_user_attr(job.trial, "result", dict(notes))
                self._rdb.set_trial_state_values(job.trial, self._states.COMPLETE, [value])
                return
        if number not in self._complete():
            self._add(number, self._states.COMPLETE, value, notes)

    def _complete(self) -> set[int]:
        trials = self._study.get_trials(deepcopy=False, states=(self._states.COMPLETE,))
        return {trial.user_attrs["configuration"] for trial in trials}

    def _add(self, number: int, state: Any, value: float | None, notes: Mapping[str, Any]) -> None:
        values = self._drawn()[number]
        self._study.add_trial(
            optuna().create_trial(
                state=state,
                value=value,
                params=values,
                distributions={n: self.distribution(n) for n in values},
                user_attrs={"configuration": number, "result": dict(notes)},
            )
        )

    def _drawn(self) -> list[dict[str, Scalar]]:
        if not self._configurations:
            self._configurations = self.space.configurations_drawn()
        return self._configurations

    def give_back(self, job: Job) -> None:
        """Let a job wait again, for another process, or this one later."""
        with contextlib.suppress(Exception), self._reached():
            self._rdb.set_trial_state_values(job.trial, self._states.WAITING)

    def fail(self, job: Job, why: str) -> None:
        """Store that a job has ended without a result, and why; it is tried again."""

        def write() -> None:
            with contextlib.suppress(optuna().exceptions.UpdateFinishedTrialError):
                self._rdb.set_trial_user_attr(job.trial, "fault", why)
                self._rdb.set_trial_state_values(job.trial, self._states.FAIL)

        self.patiently(write)

    def idle(self) -> bool:
        """Whether nothing waits and nobody works; what was lost between two others waits again."""
        return self.patiently(self._idle)

    def _idle(self) -> bool:
        missing = set(self._unattended())
        # a worker may be about to add it: what is missed twice is missing
        if missing and missing == self._missing:
            self._add_missing()
            missing = set()
        self._missing = missing
        states = (self._states.WAITING, self._states.RUNNING)
        return not missing and not self._study.get_trials(deepcopy=False, states=states)

    def results(self) -> list[Done]:
        """What came of each configuration that was begun: one each, the first complete one."""
        return self.patiently(self._results)

    def _results(self) -> list[Done]:
        found: dict[int, Done] = {}
        order = ("COMPLETE", "RUNNING", "FAIL", "WAITING")
        for trial in self._study.get_trials(deepcopy=False):
            own = trial.user_attrs
            if (number := own.get("configuration")) is None:
                continue
            notes = {**own.get("begun", {}), **own.get("result", {})}
            if "fault" in own:
                notes["fault"] = own["fault"]
            seconds = trial.duration.total_seconds() if trial.duration else 0.0
            value = trial.values[0] if trial.values else None
            done = Done(number, trial.state.name, value, dict(trial.params), notes, seconds)
            before = found.get(number)
            if before is None or order.index(done.state) < order.index(before.state):
                found[number] = done
        return [found[number] for number in sorted(found)]
