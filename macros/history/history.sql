{#- A table that holds a history. What the input has not shown before is found by fingerprints, one for each span of
    availability; the entities it concerns are computed again from the first such span on. All in one transaction. -#}
{% materialization history, adapter='duckdb', supported_languages=['sql'] %}

    {%- set history = graph.nodes[model.unique_id].assay_history -%}
    {%- if not history or sql | trim != history.rows(**history.arguments) | trim -%}
        {%- do assay._refuse('materialized as history, it must be one call of windowed_history, change_history or snapshot_history, and nothing else') -%}
    {%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set rebuilt = make_intermediate_relation(target) -%}
    {%- set backup = make_backup_relation(target, existing.type if existing else 'table') -%}
    {%- set seen = assay._seen(target) -%}
    {%- set types = model.columns.values() | map(attribute='data_type') | join(',')
        ~ run_query('describe ' ~ sql).columns['column_type'].values() | join(',') -%}
    {%- set definition = local_md5(sql ~ types ~ assay._fingerprints(history, none)) -%}
    {{ drop_relation_if_exists(load_cached_relation(rebuilt)) }}
    {{ drop_relation_if_exists(load_cached_relation(backup)) }}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- call statement('input') -%}
        {{ assay._fingerprints(history, definition) }}
    {%- endcall -%}

    {%- if existing and existing.is_table and not should_full_refresh() and assay._is_of(seen, definition) -%}
        {%- set cut = assay._first_change(history, target, seen) -%}
        {%- call statement('main') -%}
            {{ assay._replacement(history, target, cut) if cut else 'select 0' }}
        {%- endcall -%}
    {%- else -%}
        {%- set parts, since = assay._parts(history), assay._since() -%}
        {%- call statement('main') -%}
            {{ get_create_table_as_sql(False, rebuilt, assay._part(history, 0, parts, since)) }}
        {%- endcall -%}
        {%- for number in range(1, parts) -%}
            {%- do run_query('insert into ' ~ rebuilt ~ ' by name ' ~ assay._part(history, number, parts, since)) -%}
        {%- endfor -%}
        {%- if existing -%}
            {%- do adapter.rename_relation(existing, backup) -%}
        {%- endif -%}
        {%- do adapter.rename_relation(rebuilt, target) -%}
    {%- endif -%}

    {%- do run_query('create or replace table ' ~ seen ~ ' as select * from temp.assay_input') -%}
    {%- do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=True)) -%}
    {%- do persist_docs(target, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}

    {{ drop_relation_if_exists(backup) }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{#- Tells the materialization how the history is made; `expressions` are all that its rows depend on. -#}
{% macro _register_history(rows, arguments, expressions, columns, instants=1) -%}
    {%- if execute and model.config.materialized == 'history' -%}
        {%- do graph.nodes[model.unique_id].update({'assay_history': {
            'rows': rows, 'arguments': arguments, 'expressions': expressions,
            'bytes_an_event': 16 * instants * (columns + 8),
        }}) -%}
    {%- endif -%}
{%- endmacro %}


{#- Where the fingerprints of what a history has seen are kept. -#}
{% macro _seen(target) -%}
    {{ return(target.incorporate(path={'identifier': target.identifier ~ '__input'})) }}
{%- endmacro %}


{% macro _is_of(seen, definition) -%}
    {%- set found = adapter.get_relation(seen.database, seen.schema, seen.identifier) -%}
    {{ return(found is not none and run_query(
        "select count(*) from " ~ seen ~ " where definition = '" ~ definition ~ "'"
    ).rows[0][0] > 0) }}
{%- endmacro %}


{#- The number of a span of availability, of 2^32 microseconds or some 72 minutes: a shift takes a third of what
    truncating to the hour does. -#}
{% macro _span(available_at) -%}
    epoch_us({{ available_at }}) >> 32
{%- endmacro %}


{% macro _fingerprints(history, definition) -%}
    {%- set input = history.arguments -%}
    create or replace temp table assay_input as
    select
        _span,
        make_timestamp(_span * 4294967296) as span_from,
        events,
        fingerprint,
        '{{ definition }}' as definition
    from (
        select
            {{ assay._span(assay._with_end(input.available_at, 'available_at', input.relation)) }} as _span,
            count(*) as events,
            sum(hash({{ ([assay.quoted(input.entity_keys), input.available_at] + history.expressions) | join(', ') }})::hugeint) as fingerprint
        from {{ input.relation }}
        where {{ assay._is_event(input.entity_keys, input.where) }}
        group by all
    ) as spans
{%- endmacro %}


{#- How many parts are computed one after the other, each with the entities of its own: DuckDB 1.5 cannot sort far more
    than memory holds, and small parts cost no more: one is of 3/4 GiB at most, or half of what DuckDB may have. -#}
{% macro _parts(history) -%}
    {%- set number, unit = run_query("select current_setting('memory_limit')").rows[0][0].split(' ') -%}
    {%- set memory = number | float * 1024 ** ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'].index(unit) -%}
    {%- set events = run_query('select coalesce(sum(events), 0) from temp.assay_input').rows[0][0] -%}
    {{ return(1 + (events | int * history.bytes_an_event / [memory / 2, 0.75 * 1024 ** 3] | min) | int) }}
{%- endmacro %}


{#- The next run looks for rows that had not ended when its news came. Written last, they are found without reading all;
    two days are for what comes late. None where there is no input. -#}
{% macro _since() -%}
    {%- set since = run_query("select (max(span_from) - interval '2 days')::varchar from temp.assay_input").rows[0][0] -%}
    {{ return("timestamp '" ~ since ~ "'" if since else none) }}
{%- endmacro %}


{% macro _part(history, number, parts, since) -%}
    {%- set rows, input = history.rows, dict(history.arguments) -%}
    {%- if parts > 1 -%}
        {%- set part = 'hash(' ~ assay.quoted(input.entity_keys) ~ ') % ' ~ parts ~ ' = ' ~ number -%}
        {%- do input.update({'where': '(' ~ input.where ~ ') and ' ~ part if input.where else part}) -%}
    {%- endif -%}
    {{ rows(since=since, **input) }}
{%- endmacro %}


{#- Finds the changed spans and their entities, and returns the time from which these are computed again. -#}
{% macro _first_change(history, target, seen) -%}
    {%- do run_query(assay._changed_spans(seen)) -%}
    {%- set first, was_seen = run_query('select min(span_from)::varchar, bool_or(was_seen) from temp.assay_changed').rows[0].values() -%}
    {%- if first is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set cut = "timestamp '" ~ first ~ "'" -%}
    {%- do run_query(assay._touched(history, target, cut, was_seen)) -%}
    {{ return(cut) }}
{%- endmacro %}


{% macro _changed_spans(seen) -%}
    create or replace temp table assay_changed as
    select
        _span,
        coalesce(input.span_from, seen.span_from) as span_from,
        seen.span_from is not null as was_seen
    from temp.assay_input as input
    full join {{ seen }} as seen using (_span)
    where (input.events, input.fingerprint) is distinct from (seen.events, seen.fingerprint)
{%- endmacro %}


{#- Whose rows came, changed or went: those that went show in the history, deletions in the end of a state alone. -#}
{% macro _touched(history, target, cut, was_seen) -%}
    {%- set input = history.arguments -%}
    {%- set keys = assay.quoted(input.entity_keys) -%}
    create or replace temp table assay_touched as
    select distinct {{ keys }}
    from {{ input.relation }}
    where
        {{ assay._is_event(input.entity_keys, input.where) }}
        and {{ input.available_at }} >= {{ cut }}
        and {{ assay._span(input.available_at) }} in (select _span from temp.assay_changed)
    {%- if was_seen %}

    union

    select {{ keys }}
    from {{ target }}
    where
        updated_at >= {{ cut }}
        {%- if input.is_deleted %}
        or (valid_to >= {{ cut }} and valid_to < {{ assay.end_of_time() }})
        {%- endif %}
    {%- endif %}
{%- endmacro %}


{#- Takes out what the touched entities have from the cut on, and puts in what holds now. -#}
{% macro _replacement(history, target, cut) -%}
    {%- set increment = {'touched': 'temp.assay_touched', 'cut': cut, 'target': target} -%}
    {%- set rows = history.rows -%}
    create or replace temp table assay_fresh as
    {{ rows(increment=increment, **history.arguments) }};

    delete from {{ target }} as history
    using temp.assay_touched as touched
    where
        history.valid_to >= {{ cut }}
        {{- assay._same_entity(history.arguments.entity_keys, 'history', 'touched') }};

    insert into {{ target }} by name select * from temp.assay_fresh;
{%- endmacro %}


{#- What the touched entities were in when the cut came, with the arrivals until then. -#}
{% macro _seeds(entity_keys, increment) -%}
seeds as (

    select
        *,
        list_filter(coalesce(confirmed_at, [updated_at]), lambda _arrival: _arrival < {{ increment.cut }}) as _arrivals
    from {{ increment.target }}
    semi join {{ increment.touched }} using ({{ assay.quoted(entity_keys) }})
    where valid_from < {{ increment.cut }} and valid_to >= {{ increment.cut }}

),
{%- endmacro %}


{#- The states that were computed from the cut on, after the ones before it as they stand. -#}
{% macro _states_since(entity_keys, columns, increment, is_deleted=none) -%}
standing as (

    select
        {{ assay.quoted(entity_keys) }},
        unnest(
            [struct_pack(_at := valid_from, _updated_at := _arrivals[1])]
            || list_transform(_arrivals[2:], lambda _arrival: struct_pack(_at := _arrival, _updated_at := _arrival))
        ) as _arrival
        {%- if columns %},
        {{ assay.quoted(columns) }}
        {%- endif %}
    from seeds

),

states as (

    select
        * exclude (_arrival),
        _arrival._at,
        _arrival._updated_at
        {%- if is_deleted %},
        false as {{ is_deleted }}
        {%- endif %}
    from standing

    union all by name

    select * from computed
    where _at >= {{ increment.cut }}

),
{%- endmacro %}
