{% macro checked_rows(source_name, table_name, columns, key, rules, repeated=none, document=none, computed={}, joins='') -%}
    {%- do assay._configure_checked(source_name, table_name, key, repeated) -%}
    {%- set rules = dict(rules, **assay._lateness_rule(source_name, table_name)) -%}
    {%- set structure = {'malformed_row': 'malformed_reason is not null', 'schema_changed': 'schema_conflict is not null'} -%}
    {%- if document -%}
        {%- do structure.update({
            'malformed_json': 'not is_json',
            'not_an_object': assay.quoted(key[0]) ~ " is null and left(ltrim(line), 1) <> '{'",
        }) -%}
    {%- endif -%}
with landed as (

    {{ assay.rows_to_check(assay._bronze_of(source_name, table_name), documents=document is not none) }}

),
{% if document %}
parsed as (

    select
        *,
        json_valid(line) as is_json,
        -- TRY would read row by row wherever one line in two thousand is malformed.
        case when json_valid(line) then json_transform(line, '{{ document }}') end as document
    from landed

),
{% endif %}
typed as (

    select
        {{ assay.as_landed() }},
        malformed_reason,
        schema_conflict,
        contract_rule_ids,
        {{ 'line, is_json, document,' if document }}
        {{ assay._as_columns(columns) }}
    from {{ 'parsed' if document else 'landed' }}
    {{ joins }}

),
{% if computed %}
completed as (

    select
        *,
        {{ assay._as_columns(computed) }}
    from typed

),
{% endif %}
{{ assay._judged_rows(
    'completed' if computed else 'typed', source_name, table_name,
    columns=columns.keys() | list + computed.keys() | list,
    rule_ids=assay.broken_rules(structure, rules, contract='contract_rule_ids')
) }}
{%- endmacro %}


{#- Of a source that says how late is too late: a row that lands later than that after its event,
    unless it was backfilled. -#}
{% macro _lateness_rule(source_name, table_name) -%}
    {%- set lateness = assay._landing_of(assay._bronze_of(source_name, table_name)).lateness -%}
    {%- if not lateness -%}
        {{ return({}) }}
    {%- endif -%}
    {%- set is_late = 'claimed_at < landed_at - ' ~ assay._window_lengths([lateness])[lateness] -%}
    {{ return({'too_late': is_late ~ ' and not ' ~ assay.is_backfilled()}) }}
{%- endmacro %}


{#- A checked table only grows: each row is tested once, then marked where it is a copy. -#}
{% macro _configure_checked(source_name, table_name, key, repeated) -%}
    {%- do config(
        materialized='checked',
        post_hook=after_commit(
            "{{ assay.flag_duplicates(this, ref('brz_" ~ source_name ~ '__' ~ table_name ~ "'), assay.content_hash('"
            ~ source_name ~ "', '" ~ table_name ~ "'), " ~ tojson(key) ~ ', ' ~ ("'" ~ repeated ~ "'" if repeated else 'none') ~ ') }}'
        )
    ) -%}
{%- endmacro %}


{% macro _bronze_of(source_name, table_name) -%}
    {{ return(ref('brz_' ~ source_name ~ '__' ~ table_name)) }}
{%- endmacro %}


{% macro _as_columns(expressions) -%}
    {%- for name, expression in expressions.items() %}
        {{ expression }} as {{ assay.quoted(name) }}{{ ',' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{#- The last steps of a checked model: its times, the rules that each row breaks, and the columns that it keeps. -#}
{% macro _judged_rows(relation, source_name, table_name, columns, rule_ids) -%}
    {%- set is_received = 'received_at' in columns -%}
timed as (

    {{ assay.with_times(relation, source_name, table_name, received_at='received_at' if is_received) }}

),

final as (

    select
        {%- for name in columns if name not in ('written_at', 'received_at') and not name.startswith('_') %}
        {{ assay.quoted(name) }},
        {%- endfor %}
        event_at,
        claimed_at,
        available_at,
        {{ 'claimed_available_at,' if is_received }}
        {{ rule_ids }} as rule_ids,
        {{ assay.as_landed() }}
    from timed
    where {{ assay.known_as_of() }}

)

{{ assay.shielded_rows('final') }}
{%- endmacro %}
