{% macro pii_hash(column) -%}
    {%- set column = '(' ~ assay._sql(column) ~ ')' -%}
    {#- HMAC's two blocks are the session's: the key itself must not stand in SQL, which dbt writes down. -#}
    case
        when getvariable('pii_outer') is null
            then error('pii_hash has no key: set ASSAY_PII_KEY, and in profiles.yml the plugin assay.pii.dbt_plugin')::varchar
        when {{ column }} is not null
            then sha256(getvariable('pii_outer') || unhex(sha256(getvariable('pii_inner') || encode({{ column }}::varchar))))
    end
{%- endmacro %}
