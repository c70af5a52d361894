{#- A table that holds a history. What the input has not shown before is found by fingerprints, one for each span of
    availability; each entity it concerns is computed again from its first such span on. -#}
{#- Long because its steps make one transaction, in the order that dbt asks for. -#}
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

    {%- set promises = assay._take_promises(target) -%}
    {%- set is_kept_up = existing and existing.is_table and not should_full_refresh() and assay._is_of(seen, definition) -%}
    {%- set news = assay._news(history, seen) if is_kept_up -%}
    {%- call statement('input') -%}
        {{ assay._fingerprints(history, definition, seen if news, news) }}
    {%- endcall -%}

    {%- set touched = assay._touched_groups(history, target, seen, news) if is_kept_up else [] -%}
    {%- set computed = assay._computed_elsewhere(sql) if not is_kept_up or touched and assay._is_half_touched(touched) -%}
    {%- set is_kept_up = is_kept_up and not computed -%}
    {%- if is_kept_up -%}
        {%- set parts = assay._touched_parts(history, target, touched) -%}
        {%- call statement('main') -%}
            {{ assay._replacement(history, target, **parts[0]) if parts else 'select 0' }}
        {%- endcall -%}
        {%- for part in parts[1:] -%}
            {%- do run_query(assay._replacement(history, target, **part)) -%}
        {%- endfor -%}
    {%- else -%}
        {%- set parts, since = assay._parts(history, 'select coalesce(sum(events), 0) from temp.assay_input'), assay._since('temp.assay_input') -%}
        {%- set rows = assay._rows_for(target, computed or assay._part(history, 0, parts, since), promises) -%}
        {%- call statement('main') -%}
            {{ get_create_table_as_sql(False, rebuilt, rows) }}
        {%- endcall -%}
        {%- for number in range(1, 1 if computed else parts) -%}
            {%- do run_query('insert into ' ~ rebuilt ~ ' by name ' ~ assay._part(history, number, parts, since)) -%}
        {%- endfor -%}
        {%- if existing -%}
            {%- do adapter.rename_relation(existing, backup) -%}
        {%- endif -%}
        {%- do adapter.rename_relation(rebuilt, target) -%}
    {%- endif -%}

    {%- if not is_kept_up or touched -%}
        {%- do assay._keep_promises(target, promises) -%}
        {%- if is_kept_up and assay._may_keep_definition(assay._in_catalog(seen)) -%}
            {%- do run_query('delete from ' ~ seen ~ '; insert into ' ~ seen ~ ' by name select * from temp.assay_input') -%}
        {%- else -%}
            {%- do run_query('create or replace table ' ~ seen ~ ' as select * from temp.assay_input') -%}
        {%- endif -%}
    {%- endif -%}
    {%- do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=True)) -%}
    {%- do assay._comment_on(target, stands=is_kept_up) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}

    {{ drop_relation_if_exists(backup) }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{#- Tells the materialization how the history is made; `expressions` are all that its rows depend on, and `reach` is how
    long an event counts, unless that has no end. -#}
{% macro _register_history(rows, arguments, expressions, columns, instants=1, reach=none) -%}
    {%- if execute and model.config.materialized == 'history' -%}
        {%- do graph.nodes[model.unique_id].update({'assay_history': {
            'rows': rows, 'arguments': arguments, 'expressions': expressions,
            'reach': reach,
            'appended_at': assay._appended_at(arguments.relation),
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


{#- The column in which an input tells when each of its rows was added, if rows are added to it and nothing else happens. -#}
{% macro _appended_at(relation) -%}
    {%- for node in graph.nodes.values() | list + graph.sources.values() | list
            if node.unique_id in model.depends_on.nodes and node.relation_name == relation and node.config.meta.appended_at -%}
        {{ return(assay.quoted(node.config.meta.appended_at)) }}
    {%- endfor -%}
{%- endmacro %}


{#- What tells the rows that were added since the last run, where it is sure that all others are those that were there. -#}
{% macro _news(history, seen) -%}
    {%- if not history.appended_at -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set events, until = run_query('select sum(events), max(appended_until)::varchar from ' ~ seen).rows[0].values() -%}
    {%- if until is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set news = history.appended_at ~ " > '" ~ until ~ "'" -%}
    {%- set counted = 'select count(*) from ' ~ history.arguments.relation ~ ' where '
        ~ assay._is_event(history.arguments.entity_keys, history.arguments.where) -%}
    {%- set others = run_query('select (' ~ counted ~ ') - (' ~ counted ~ ' and ' ~ news ~ ')').rows[0][0] -%}
    {{ return(news if others == events) }}
{%- endmacro %}


{#- DECIMAL, because Parquet keeps no HUGEINT: a lake would change it. -#}
{% macro _hash(history) -%}
    hash({{ ([assay.quoted(history.arguments.entity_keys), history.arguments.available_at] + history.expressions) | join(', ') }})::decimal(38, 0)
{%- endmacro %}


{#- Those of all rows; or, where only `news` were added, those of what was seen and of the news. -#}
{% macro _fingerprints(history, definition, seen=none, news=none) -%}
    {%- set input = history.arguments -%}
    create or replace temp table assay_input as
    select
        _span,
        make_timestamp(_span * 4294967296) as span_from,
        {%- if seen %}
        sum(events)::bigint as events,
        sum(fingerprint) as fingerprint,
        max(appended_until) as appended_until,
        {%- else %}
        events,
        fingerprint,
        {%- if history.appended_at %}
        appended_until,
        {%- endif %}
        {%- endif %}
        '{{ definition }}' as definition
    from (
        select
            {{ assay._span(assay._with_end(input.available_at, 'available_at', input.relation)) }} as _span,
            count(*) as events,
            {%- if history.appended_at %}
            max({{ history.appended_at }}) as appended_until,
            {%- endif %}
            sum({{ assay._hash(history) }}) as fingerprint
        from {{ input.relation }}
        where {{ assay._is_event(input.entity_keys, input.where) }}{{ ' and ' ~ news if news }}
        group by all
        {%- if seen %}

        union all by name

        select _span, events, appended_until, fingerprint
        from {{ seen }}
        {%- endif %}
    ) as spans
    {%- if seen %}
    group by _span
    {%- endif %}
{%- endmacro %}


{#- How many parts are computed one after the other, each with the entities of its own: DuckDB 1.5 cannot sort far more
    than memory holds. One is of 3/4 GiB. Each reads all of the input, so that parts grow when there would be more than
    32 of them, up to half of what DuckDB may have. -#}
{% macro _parts(history, events) -%}
    {%- set number, unit = run_query("select current_setting('memory_limit')").rows[0][0].split(' ') -%}
    {%- set memory = number | float * 1024 ** ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'].index(unit) -%}
    {%- set bytes = run_query(events).rows[0][0] | int * history.bytes_an_event -%}
    {{ return(1 + (bytes / [memory / 2, [0.75 * 1024 ** 3, bytes / 32] | max] | min) | int) }}
{%- endmacro %}


{#- The next run looks for rows that had not ended when its news came. Written last, they are found without reading all;
    two days are for what comes late. None where there is no input. -#}
{% macro _since(input) -%}
    {%- set since = run_query("select (max(span_from) - interval '2 days')::varchar from " ~ input).rows[0][0] -%}
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


{#- Finds the entities that changed spans concern, each with the time from which it is computed again; and returns them in
    groups, each with its number of events. Those that changed long ago are apart: they are few, and their rows lie all over
    the history, where the others' lie at its end. -#}
{% macro _touched_groups(history, target, seen, news=none) -%}
    {%- do run_query(assay._changed_spans(seen, news)) -%}
    {%- set first, gone_from, gone_until = run_query(assay._bounds_of_changes()).rows[0].values() -%}
    {%- if first is none -%}
        {{ return([]) }}
    {%- endif -%}
    {%- do run_query(assay._touched(history, target, first, gone_from, gone_until, news)) -%}
    {%- set groups = [] -%}
    {%- set is_old = '_assay_cut < ' ~ (assay._since(seen) or assay.end_of_time()) -%}
    {%- for entities in [is_old, 'not ' ~ is_old] -%}
        {%- set touched = '(select * from temp.assay_touched where ' ~ entities ~ ')' -%}
        {%- set cut = run_query('select min(_assay_cut)::varchar from ' ~ touched).rows[0][0] -%}
        {%- if cut is not none -%}
            {%- set cut = "timestamp '" ~ cut ~ "'" -%}
            {%- set events = 'select count(*) from ' ~ assay._events_since(history, touched, cut) -%}
            {%- do groups.append({'entities': entities, 'cut': cut, 'events': run_query(events).rows[0][0]}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(groups) }}
{%- endmacro %}


{#- Whether at least half of the events are to be looked at again: another engine then computes all of it, if there is one. -#}
{% macro _is_half_touched(touched) -%}
    {{ return(
        env_var('ASSAY_ENGINE', '') | trim != ''
        and 2 * touched | sum(attribute='events') >= run_query('select sum(events) from temp.assay_input').rows[0][0]
    ) }}
{%- endmacro %}


{#- The parts in which touched entities are computed again: a group that another engine has computed is one. -#}
{% macro _touched_parts(history, target, touched) -%}
    {%- set parts = [] -%}
    {%- for group in touched -%}
        {%- set fresh = assay._increment_elsewhere(history, target, **group) -%}
        {%- set number = 1 if fresh else assay._parts(history, 'select ' ~ group.events) -%}
        {%- for part in range(number) -%}
            {%- do parts.append({
                'entities': group.entities ~ ' and hash(' ~ assay.quoted(history.arguments.entity_keys) ~ ') % ' ~ number ~ ' = ' ~ part,
                'cut': group.cut,
                'fresh': fresh,
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(parts) }}
{%- endmacro %}


{#- The query of what touched entities are from their cuts on, where another engine has computed it; none where this machine
    does. The engine sees what is committed, which these entities are not: it reads them from a file. -#}
{% macro _increment_elsewhere(history, target, entities, cut, events) -%}
    {%- if not assay._has_engine() -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set file = run_query('select assay_increment_file(' ~ events ~ ')').rows[0][0] -%}
    {%- if file is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set keys = assay.quoted(history.arguments.entity_keys) -%}
    {%- do run_query(
        'copy (select ' ~ keys ~ ', _assay_cut from temp.assay_touched where ' ~ entities ~ ') to ' ~ assay._text(file) ~ ' (format parquet)'
    ) -%}
    {%- set rows, touched = history.rows, assay._text(file) -%}
    {%- set sent = '"_assay"."main"."touched"' -%}
    {%- set increment = {
        'sql': rows(increment={'touched': sent, 'cut': cut, 'target': target}, **history.arguments),
        'touched': sent,
        'history': target | string,
        'asked': {
            history.arguments.relation: 'select * from ' ~ assay._events_since(history, touched, cut),
            target | string: 'select history.* from ' ~ target ~ ' as history inner join ' ~ touched ~ ' as touched using ('
                ~ keys ~ ') where valid_to >= ' ~ cut ~ ' and valid_from < _assay_cut and valid_to >= _assay_cut',
            sent: 'from ' ~ touched,
        },
    } -%}
    {{ return(assay._computed_elsewhere(sql, increment)) }}
{%- endmacro %}


{#- The events that touched entities are computed again from. -#}
{% macro _events_since(history, touched, cut) -%}
    {%- set input = history.arguments -%}
    {{ input.relation }}
    semi join {{ touched }} as touched using ({{ assay.quoted(input.entity_keys) }})
    where
        {{ assay._is_event(input.entity_keys, input.where) }}
        {%- if history.reach %}
        and (
            {{ input.available_at }} >= {{ cut }} - {{ history.reach }}
            {%- if input.event_at %}
            or {{ input.event_at }} >= {{ cut }} - {{ history.reach }}
            {%- endif %}
        )
        {%- endif %}
{%- endmacro %}


{% macro _changed_spans(seen, news=none) -%}
    create or replace temp table assay_changed as
    select
        _span,
        coalesce(input.span_from, seen.span_from) as span_from,
        {{ 'false' if news else 'seen.span_from is not null' }} as was_seen,
        case when input.events = seen.events + 1 then input.fingerprint - seen.fingerprint end as hash_of_added
    from temp.assay_input as input
    full join {{ seen }} as seen using (_span)
    where (input.events, input.fingerprint) is distinct from (seen.events, seen.fingerprint)
{%- endmacro %}


{#- When the first change was, and from when to when those were that rows can have gone from. -#}
{% macro _bounds_of_changes() -%}
    select
        min(span_from)::varchar,
        min(span_from) filter (where was_seen)::varchar,
        (max(span_from) filter (where was_seen) + to_microseconds(4294967296))::varchar
    from temp.assay_changed
{%- endmacro %}


{#- Whose rows came, changed or went, and in which span first. What went shows in the history: as the time when something
    arrived, or where a deletion ended a state. Where a span differs by the hash of one of its rows, that row was added and
    nothing else happened. -#}
{% macro _touched(history, target, first, gone_from, gone_until, news=none) -%}
    {%- set input = history.arguments -%}
    {%- set keys = assay.quoted(input.entity_keys) -%}
    {%- set changed = ' in (select _span from temp.assay_changed)' -%}
    create or replace temp table assay_arrivals as
    select {{ assay.quoted(input.entity_keys, 'arrivals') }}, arrivals._span, arrivals._hash = changed.hash_of_added as _is_added
    from (
        select {{ keys }}, {{ assay._span(input.available_at) }} as _span, {{ assay._hash(history) }} as _hash
        from {{ input.relation }}
        where
            {{ assay._is_event(input.entity_keys, input.where) }}{{ ' and ' ~ news if news }}
            and {{ input.available_at }} >= timestamp '{{ first }}'
            and {{ assay._span(input.available_at) }}{{ changed }}
    ) as arrivals
    inner join temp.assay_changed as changed on arrivals._span = changed._span;

    delete from temp.assay_changed
    where _span in (select _span from temp.assay_arrivals where _is_added);

    create or replace temp table assay_touched as
    select
        {{ keys }},
        make_timestamp(min(_span) * 4294967296) as _assay_cut
    from (
        select {{ keys }}, _span
        from temp.assay_arrivals
        where _is_added or _span{{ changed }}
        {%- if gone_from %}

        union all

        select {{ keys }}, {{ assay._span('updated_at') }}
        from {{ target }}
        where
            updated_at >= timestamp '{{ gone_from }}' and updated_at < timestamp '{{ gone_until }}'
            and {{ assay._span('updated_at') }}{{ changed }}

        union all

        select *
        from (
            select {{ keys }}, {{ assay._span('unnest(confirmed_at)') }} as _span
            from {{ target }}
            where confirmed_at is not null and updated_at >= timestamp '{{ gone_from }}'
        ) as confirmations
        where _span{{ changed }}
        {%- if input.is_deleted %}

        union all

        select {{ keys }}, {{ assay._span('valid_to') }}
        from {{ target }}
        where
            valid_to >= timestamp '{{ gone_from }}' and valid_to < least(timestamp '{{ gone_until }}', {{ assay.end_of_time() }})
            and {{ assay._span('valid_to') }}{{ changed }}
        {%- endif %}
        {%- endif %}
    ) as changes
    group by {{ keys }}
{%- endmacro %}


{#- Takes out what some of the touched entities have since their cuts, none of them before `cut`, and puts in what holds
    now: the rows of the query `fresh`, if another engine has computed them. -#}
{% macro _replacement(history, target, entities, cut, fresh=none) -%}
    {%- set increment = {'touched': 'temp.assay_part', 'cut': cut, 'target': target} -%}
    {%- set rows = history.rows -%}
    create or replace temp table assay_part as
    select {{ assay.quoted(history.arguments.entity_keys) }}, _assay_cut
    from temp.assay_touched
    where {{ entities }};

    create or replace temp table assay_fresh as
    {{ fresh or rows(increment=increment, **history.arguments) }};

    delete from {{ target }} as history
    using temp.assay_part as touched
    where
        history.valid_to >= {{ cut }}
        and history.valid_to >= touched._assay_cut
        {{- assay._same_entity(history.arguments.entity_keys, 'history', 'touched') }};

    insert into {{ target }} by name select * from temp.assay_fresh;
{%- endmacro %}


{#- What the touched entities were in when their cut came, with the arrivals until then. -#}
{% macro _seeds(entity_keys, increment) -%}
seeds as (

    select
        *,
        list_filter(coalesce(confirmed_at, [updated_at]), lambda _arrival: _arrival < _assay_cut) as _arrivals
    from {{ increment.target }}
    inner join {{ increment.touched }} using ({{ assay.quoted(entity_keys) }})
    where valid_to >= {{ increment.cut }} and valid_from < _assay_cut and valid_to >= _assay_cut

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

    select computed.*
    from computed
    inner join {{ increment.touched }} using ({{ assay.quoted(entity_keys) }})
    where computed._at >= _assay_cut

),
{%- endmacro %}
