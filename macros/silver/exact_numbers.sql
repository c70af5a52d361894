{% macro exact_numbers(line) -%}
    {#- DuckDB reads the numbers of JSON as DOUBLE where they have a point. A number that is longer than what DOUBLE
        holds exactly becomes a text of the same digits. Each match reaches from the last number to the next, past
        whole texts, and one number is put at the end, so that no match begins within a text. -#}
    case
        when regexp_matches({{ line }}, '[0-9][0-9.]{15}') and json_valid({{ line }})
            then left(
                regexp_replace(
                    {{ line }} || ' 0000000000000000',
                    '((?:"(?:[^"\\]|\\.)*"|[^"])*?)(-?[0-9][0-9.eE+-]{15,})', '\1"\2"', 'g'
                ),
                -19
            )
        else {{ line }}
    end
{%- endmacro %}
