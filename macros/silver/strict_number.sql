{% macro strict_number(text, data_type) -%}
    {#- A plain cast rounds '1.5' to an integer and '0.123' to DECIMAL(18, 2): only exact values pass. -#}
    case
        when try_cast({{ text }} as {{ data_type }}) = try_cast({{ text }} as decimal(38, 12))
            then try_cast({{ text }} as {{ data_type }})
    end
{%- endmacro %}
