{% macro utc_timestamp(text, formats=none) -%}
    {#- A cast to TIMESTAMP drops an offset such as +02:00 without applying it. -#}
    case
        {%- if formats %}
        when try_strptime({{ text }}, {{ formats }}) is not null then try_strptime({{ text }}, {{ formats }})
        {%- endif %}
        when ends_with({{ text }}, 'Z') then try_cast({{ text }} as timestamp)
        when regexp_matches({{ text }}, ':\d\d(\.\d+)?\s*[+-]\d\d(:?\d\d)?$')
            then try_cast({{ text }} as timestamptz) at time zone 'UTC'
        else try_cast({{ text }} as timestamp)
    end
{%- endmacro %}
