{% macro judging(labels) -%}
    {%- set found = [] -%}
    {%- for name in labels if not assay._not_judging_because(assay._node_named(name)) -%}
        {%- do found.append(name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- Why predictions cannot be judged by a label, and how they can be; nothing where they can. -#}
{% macro _not_judging_because(node) -%}
    {%- set left_out = ', so that mon_predictions leaves it out: ' -%}
    {%- set keys = assay._key_columns(node) -%}
    {%- if keys | length != 1 -%}
        {{ return(node.name ~ ' has ' ~ (('the primary key ' ~ keys | join(', ')) if keys else 'no primary key') ~ left_out ~ 'declare one of one column, by which predictions name its rows') }}
    {%- endif -%}
    {%- set type = assay._types_as_built(node).get('outcome') -%}
    {%- if type is none or not (type == '' or type.startswith('bool') or type.endswith('int') or type == 'integer') -%}
        {{ return(node.name ~ ' has no column outcome that is true or false' ~ left_out ~ 'predictions of other outcomes are not judged') }}
    {%- endif -%}
    {{ return('') }}
{%- endmacro %}


{% macro _key_columns(node) -%}
    {{ return(node.primary_key | map('trim', '"') | list) }}
{%- endmacro %}
