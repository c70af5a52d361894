{% macro debezium_timestamp(text) -%}
    {#- Connectors write zoned timestamps as ISO 8601, others as a count since 1970 whose length tells its unit. -#}
    case
        when regexp_full_match({{ text }}, '-?\d{18,19}') then make_timestamp(try_cast({{ text }} as bigint) // 1000)
        when regexp_full_match({{ text }}, '-?\d{15,17}') then make_timestamp(try_cast({{ text }} as bigint))
        when regexp_full_match({{ text }}, '-?\d{1,14}') then epoch_ms(try_cast({{ text }} as bigint))
        else {{ assay.utc_timestamp(text) }}
    end
{%- endmacro %}
