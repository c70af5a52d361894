{#- Of each state, the others that may be among the nearest at some time of it, and from when to when they hold beside it. -#}
{% macro _nearest_candidates(states, count) -%}
-- Each state beside those of others that hold at the same time, for as long as both do.
with pairs as (

    select
        states._key,
        states.valid_from as _state_from,
        states.valid_to as _state_to,
        others._key as _other,
        round(list_cosine_similarity(states.vector, others.vector), 6) as _similarity,
        greatest(states.valid_from, others.valid_from) as _from,
        least(states.valid_to, others.valid_to) as _to
    from {{ states }} as states
    inner join {{ states }} as others
        on
            states._key <> others._key
            and states.valid_from < others.valid_to
            and states.valid_to > others.valid_from

),

-- The best of those that hold as long as the state does: who is less like it than all of them is never among the nearest.
lasting as (

    select
        _key,
        _state_from,
        max(_similarity, {{ count }}) filter (where _from = _state_from and _to = _state_to) as _best
    from pairs
    group by _key, _state_from

)

select pairs.*
from pairs
inner join lasting on pairs._key = lasting._key and pairs._state_from = lasting._state_from
where pairs._similarity >= coalesce(lasting._best[{{ count }}], -1)
{%- endmacro %}


{#- The nearest of each state, at every instant where a candidate begins or ends beside it. -#}
{% macro _nearest_at_instants(states, candidates, count) -%}
with instants as (

    select
        _key,
        valid_from as _state_from,
        valid_from as _at
    from {{ states }}

    union

    select
        _key,
        _state_from,
        unnest(case when _to < _state_to then [_from, _to] else [_from] end) as _at
    from {{ candidates }}

)

select
    instants._key,
    instants._at,
    list(
        struct_pack(_other := candidates._other, _similarity := candidates._similarity)
        order by candidates._similarity desc, candidates._other
    ) filter (where candidates._other is not null)[:{{ count }}] as _nearest
from instants
left join {{ candidates }} as candidates
    on
        instants._key = candidates._key
        and instants._state_from = candidates._state_from
        and instants._at >= candidates._from
        and instants._at < candidates._to
group by instants._key, instants._at
{%- endmacro %}
