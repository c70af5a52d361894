{% macro checked_changes(source_name, table_name, key, attributes, columns, rules={}) -%}
    {%- do assay._configure_checked(source_name, table_name, ['change_hash'], 'repeated_change') -%}
    {%- set first = {key: assay.filled('attributes.' ~ assay.quoted(key)), 'op': 'op', 'is_deleted': 'is_deleted', 'is_snapshot': 'is_snapshot'} -%}
    {%- set last = ['unavailable_attributes', 'log_name', 'log_position', 'change_hash', 'written_at', 'received_at'] -%}
with landed as (

    {{ assay.debezium_rows(assay._bronze_of(source_name, table_name), [key] + attributes) }}

),

typed as (

    select
        {{ assay.as_landed() }},
        malformed_reason,
        schema_conflict,
        contract_rule_ids,
        is_tombstone,
        is_object,
        is_json,
        is_undecodable,
        attributes,
        {{ last | join(', ') }},
        {{ assay._as_columns(dict(first, **columns)) }}
    from landed

),

{{ assay._judged_rows(
    'typed', source_name, table_name,
    columns=first.keys() | list + columns.keys() | list + last,
    rule_ids=assay.debezium_rules(assay.quoted(key), dict(rules, **assay._lateness_rule(source_name, table_name)))
) }}
{%- endmacro %}
