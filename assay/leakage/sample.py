"""Choose prediction times and entities: those with another arrival soon after the prediction."""

from __future__ import annotations

from datetime import datetime

from assay.core.sql import quoted
from assay.leakage.declared import TrainingSet
from assay.leakage.replay import Replay
from assay.leakage.tables import columns_of, literal, number, same
from assay.project.graph import relation_of

# The slice holds at most twice this many entities of the tried rows, and this many more of each kind.
_ENTITIES = 30
_REACHES = ("1 hour", "1 day", "30 days")


class Sample:
    """The rows of a label, and the next arrival of each of their entities.

    A row's own event, which happens at its prediction time, is skipped.
    """

    def __init__(self, replay: Replay, training_set: TrainingSet) -> None:
        self._replay = replay
        self._connection = replay.connection
        self._keys = training_set.keys
        self._positions = range(len(replay.entities()))
        self._connection.execute(
            f"create or replace temp table asked as from {training_set.label} where prediction_at is not null"
        )
        for position, entity in enumerate(replay.entities()):
            self._find_next(position, entity)
        soons = ", ".join(f"_soon_{position}" for position in self._positions)
        self._soonest = f"least({soons})" if soons else "null::interval"

    def _find_next(self, position: int, entity: list[str]) -> None:
        """Add to the rows the time until an entity's next arrival, and the slice's entity of that arrival."""
        whose = quoted(self._replay.entity) if self._replay.entity else "null"
        arrivals = [
            f"select {quoted(*entity)}, event_at, available_at, "
            f"{whose if self._replay.entity in columns else 'null'}::varchar as _whose "
            f"from {relation_of(gate)} where available_at is not null"
            for gate in self._replay.gates
            if {*entity, "event_at", "available_at"} <= (columns := self._replay.columns(gate)).keys()
        ]
        if not arrivals:
            self._connection.execute(
                f"create or replace temp table asked as select *, null::interval as _soon_{position}, "
                f"null::varchar as _whose_{position} from asked"
            )
            return
        self._connection.execute(
            "create or replace temp table arrivals as select *, lead(event_at) over later as _event_after, "
            "lead(available_at) over later as _after, lead(_whose) over later as _whose_after "
            f"from ({' union all '.join(arrivals)}) "
            f"window later as (partition by {quoted(*entity)} order by available_at, event_at)"
        )
        is_own = "arrivals.event_at = asked.prediction_at"
        self._connection.execute(
            "create or replace temp table asked as select asked.*, "
            f"case when {is_own} then _after else arrivals.available_at end - asked.prediction_at "
            f"as _soon_{position}, "
            f"case when {is_own} then _whose_after else _whose end as _whose_{position} "
            f"from asked asof left join arrivals on {same(entity, 'asked', 'arrivals')} "
            "and arrivals.available_at > asked.prediction_at"
        )

    def choose(
        self, moments: int, seed: int, learnt_until: datetime | None, *, learns: bool
    ) -> list[datetime]:
        """Return prediction times, and cut the slice to the entities of their rows and next arrivals.

        Args:
            moments: the number of prediction times.
            seed: the same seed draws the same rows, for rows that are drawn by a hash.
            learnt_until: the time at which everything learnt from the training rows is known.
            learns: whether columns are learnt from training rows, so that later rows are preferred.
        """
        late = f"prediction_at >= {literal(learnt_until)}" if learnt_until else "false"
        is_late = learns and number(self._connection, f"select count(*) from asked where {late}") > 0
        asked = f"from asked where {late if is_late else 'true'}"
        drawn = f"order by md5(concat_ws('|', {seed}, {quoted(*self._keys)})), {quoted(*self._keys)}"
        found: list[datetime] = []

        def take(query: str, count: int) -> None:
            rows = self._connection.execute(f"{query} limit {4 * moments}").fetchall()
            found.extend(list(dict.fromkeys(at for (at, *_) in rows if at not in found))[:count])

        by_chance = moments // 4
        for position in self._positions:
            soon = f"_soon_{position}"
            take(
                f"select prediction_at, count(*) filter ({soon} <= interval '1 hour') as within_hour, "
                f"min({soon}) as soonest {asked} and {soon} is not null group by all "
                "order by within_hour desc, soonest, prediction_at",
                max(1, (moments - by_chance) // len(self._positions)),
            )
        take(f"select prediction_at from asked where {late} {drawn}", by_chance // 2)
        take(f"select prediction_at {asked} {drawn}", moments - len(found))
        chosen = sorted(found[:moments])
        if chosen:
            self._cut(chosen)
        return chosen

    def _cut(self, chosen: list[datetime]) -> None:
        if self._replay.entity is None:
            self._replay.cut("select null")
            return
        entity = quoted(self._replay.entity)
        at_chosen = f"from asked where prediction_at in ({', '.join(literal(at) for at in chosen)})"
        queries = [
            f"select {entity}::varchar as entity {at_chosen} order by {self._soonest} nulls last "
            f"limit {2 * _ENTITIES}",
            f"select {entity}::varchar from (select distinct {entity} from asked) "
            f"order by md5({entity}::varchar) limit {_ENTITIES}",
        ]
        queries += [
            f"select _whose_{position} {at_chosen} and _soon_{position} <= interval '1 day' "
            f"order by _soon_{position} limit {_ENTITIES}"
            for position in self._positions
        ]
        type_ = columns_of(self._connection, "asked")[self._replay.entity]
        together = " union ".join(f"({query})" for query in queries)
        self._replay.cut(f"select distinct entity::{type_} from ({together}) where entity is not null")

    def could_show(self, told: str) -> int:
        """Return for how many rows of a table with keys and moment `at` something was erased."""
        return number(
            self._connection,
            f"select count(distinct ({quoted(*self._keys, of='asked')})) from asked "
            f"inner join {told} as told on {same(self._keys, 'asked', 'told')} "
            f"where asked.prediction_at + {self._soonest} > told.at",
        )

    def reach(self, told: str) -> str:
        """Say how far columns must look ahead for rows to show it at their own prediction time."""
        counts = ", ".join(f"count(*) filter (_soonest <= interval '{reach}')" for reach in _REACHES)
        [(rows, *within)] = self._connection.execute(
            f"select count(*), {counts} from (select {self._soonest} as _soonest "
            f"from asked inner join {told} as told on {same(self._keys, 'asked', 'told')} "
            "and asked.prediction_at = told.at)"
        ).fetchall()
        reached = ", ".join(
            f"{count:,} within {reach}" for count, reach in zip(within, _REACHES, strict=False)
        )
        return (
            f"{rows:,} rows at their own prediction time, of which something else arrived {reached} after it"
        )
