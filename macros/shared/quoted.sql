{% macro quoted(names, of=none) -%}
    {%- set found = [] -%}
    {%- for name in ([names] if names is string else names) -%}
        {%- do found.append((of ~ '.' if of else '') ~ '"' ~ name | string | replace('"', '""') ~ '"') -%}
    {%- endfor -%}
    {{ return(found | join(', ')) }}
{%- endmacro %}


{#- Names are the same if these are: DuckDB compares them without the case of A to Z, and of no other letter. -#}
{% macro _folded(name) -%}
    {{ return(name.translate(name.maketrans('ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'))) }}
{%- endmacro %}


{#- Continues a join's condition; the keys are names. -#}
{% macro _same_entity(entity_keys, left, right) -%}
    {%- for key in entity_keys %} and {{ assay.quoted(key, left) }} = {{ assay.quoted(key, right) }}{% endfor -%}
{%- endmacro %}
