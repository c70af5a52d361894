{% macro contract_rules(bronze) -%}
    {%- set found = namespace(rules=[]) -%}
    {%- if execute -%}
        {%- for node in graph.get('nodes', {}).values()
            if node.resource_type == 'model' and node.alias == bronze.identifier and node.schema == bronze.schema -%}
            {%- for unique_id in node.depends_on.nodes if unique_id in graph.get('sources', {}) -%}
                {%- set found.rules = found.rules + (graph.sources[unique_id].config.meta.get('contract_rules', []) | selectattr('kind', 'defined') | list) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if found.rules -%}
        [
            {%- for rule in found.rules %}
            case when {{ assay._landed_breaks(rule) }} then {{ assay._text(rule.rule_id) }} end
            {{- ',' if not loop.last }}
            {%- endfor %}
        ]
    {%- else -%}
        null::varchar[]
    {%- endif -%}
{%- endmacro %}


{#- A column of a CSV file, which may hold JSON itself, or a path into a JSON document. -#}
{% macro _landed_breaks(rule) -%}
    {%- if rule.field is not string -%}
        {{ assay.breaks_rule(rule, {'holds': 'line'}, rule.field) }}
    {%- elif 'path' in rule -%}
        {%- set column = assay.filled(assay.quoted(rule.field)) -%}
        {{ assay.breaks_rule(rule, {'holds': 'json', 'sql': 'case when json_valid(' ~ column ~ ') then (' ~ column ~ ')::json end', 'text': column}, rule.path) }}
    {%- else -%}
        {{ assay.breaks_rule(rule, {'holds': 'text', 'sql': assay.filled(assay.quoted(rule.field))}, []) }}
    {%- endif -%}
{%- endmacro %}
