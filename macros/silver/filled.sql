{% macro filled(text) -%}
    {#- TRIM goes through a text character by character; ASCII without a space needs none. -#}
    case
        when strlen({{ text }}) = length({{ text }}) and not contains({{ text }}, ' ') then nullif({{ text }}, '')
        else nullif(trim({{ text }}), '')
    end
{%- endmacro %}
