{% macro quoted(names, of=none) -%}
    {%- set found = [] -%}
    {%- for name in ([names] if names is string else names) -%}
        {%- do found.append((of ~ '.' if of else '') ~ '"' ~ name | string | replace('"', '""') ~ '"') -%}
    {%- endfor -%}
    {{ return(found | join(', ')) }}
{%- endmacro %}
