{% macro document_rules(line) -%}
    {#- Documents that are nested too deep are malformed already, and would take long to parse. -#}
    case
        when malformed_reason is null and json_valid({{ line }})
            then [
                case when {{ assay._repeats_a_key(line) }} then 'duplicate_key' end,
                case when {{ assay._has_no_number(line) }} then 'nan_or_infinity' end
            ]
        else []
    end
{%- endmacro %}


{#- Whether an object in a document has a key twice, of whose values each reader takes another. -#}
{% macro _repeats_a_key(line) -%}
    len(list_filter(
        list_concat([{{ line }}], json_extract({{ line }}, '$..*')),
        lambda _value: case
            when starts_with(ltrim(_value), '{') then len(json_keys(_value)) <> len(list_distinct(json_keys(_value)))
        end
    )) > 0
{%- endmacro %}


{#- Whether a number of a document is NaN or infinite, which JSON has not and DuckDB reads. -#}
{% macro _has_no_number(line) -%}
    case
        when regexp_matches({{ line }}, '(?i)nan|inf')
            then regexp_matches(regexp_replace({{ line }}, '"(?:[^"\\]|\\.)*"', '', 'g'), '(?i)nan|inf')
        else false
    end
{%- endmacro %}
