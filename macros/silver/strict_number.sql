{% macro strict_number(text, data_type, decimal=none, thousands=none) -%}
    {%- set number = assay.plain_number(text, decimal, thousands) -%}
    {%- if number == text -%}
        {{ assay._exactly(text, data_type) }}
    {%- else -%}
        list_transform([{{ number }}], lambda _plain: {{ assay._exactly('_plain', data_type) }})[1]
    {%- endif -%}
{%- endmacro %}


{% macro _exactly(text, data_type) -%}
    {#- A plain cast rounds '1.5' to an integer and '0.123' to DECIMAL(18, 2): only exact values pass. Most are written
        as the type writes them, but for zeros at the end, which is told much faster than by their digits. -#}
    case
        when starts_with(try_cast({{ text }} as {{ data_type }})::varchar, {{ text }})
            then try_cast({{ text }} as {{ data_type }})
        when {{ assay.comparable_number(text) }} = {{ assay.comparable_number('try_cast(' ~ text ~ ' as ' ~ data_type ~ ')::varchar') }}
            then try_cast({{ text }} as {{ data_type }})
    end
{%- endmacro %}
