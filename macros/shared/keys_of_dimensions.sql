{% macro keys_of_dimensions() -%}
    {%- set found = {} -%}
    {%- for name in assay.names_read('dimensions') -%}
        {%- set node = assay._node_named(name) -%}
        {%- set keys = node.primary_key | map('trim', '"') | reject('equalto', 'valid_from') | list -%}
        {%- if 'valid_from' in node.columns and keys | length == 1 -%}
            {#- Of several dimensions by one key, the one that is named for it comes first: dim_things for thing_id. -#}
            {%- set is_namesake = name in ['dim_' ~ keys[0] | replace('_id', ''), 'dim_' ~ keys[0] | replace('_id', '') ~ 's'] -%}
            {%- if is_namesake or keys[0] not in found -%}
                {%- do found.update({keys[0]: name}) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
