{#- Long because it is one timeline, step by step: what is near each state and when, where states end, and where that is another answer than before. -#}
{% macro nearest_vectors(vectors, entity_key, count) -%}
    {%- set key = assay.quoted(entity_key) -%}
with states as (

    select
        {{ key }} as _key,
        vector::double[] as vector,
        valid_from,
        valid_to
    from {{ vectors }}
    -- A vector of zeros points nowhere.
    where list_inner_product(vector::double[], vector::double[]) > 0

),

candidates as (

    {{ assay._nearest_candidates('states', count) }}

),

nearest as (

    {{ assay._nearest_at_instants('states', 'candidates', count) }}

),

ended as (

    select
        _key,
        valid_to as _at
    from states
    where valid_to < {{ assay.end_of_time() }}

    except

    select
        _key,
        valid_from as _at
    from states

),

told as (

    select
        _key,
        _at,
        coalesce(_nearest, []) as _nearest
    from nearest

    union all by name

    select * from ended

),

-- Who is a candidate depends on what comes later; when the nearest change does not.
changed as (

    select *
    from told
    qualify _nearest is distinct from lag(_nearest) over (partition by _key order by _at)

),

final as (

    select
        _key as {{ key }},
        list_transform(_nearest, lambda each: each._other) as neighbours,
        list_transform(_nearest, lambda each: each._similarity) as similarities,
        _at as available_at,
        _nearest is null as is_deleted
    from changed

)

select * from final
{%- endmacro %}
