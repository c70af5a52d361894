{% macro comparable_json(value) -%}
    {#- Of an object or array: every value in it, at its place, in the order of places. They are found level by level, as
        no lambda calls itself: at most as many levels as there are brackets. -#}
    case
        when left({{ value }}, 1) in ('{', '[') then list_transform(
            ['[' || {{ value }} || ']'],
            lambda _whole: list_reduce(
                list_transform(
                    range(2 + length(_whole) - length(translate(_whole, '{[', ''))),
                    lambda _level: {'told': []::varchar[], 'at': ['/0']}
                ),
                lambda _found, _level: {
                    'told': list_concat(_found.told, list_transform(
                        _found.at,
                        lambda _place: _place || ' ' || case json_type(_whole, _place)
                            when 'OBJECT' then '{'
                            when 'ARRAY' then '['
                            else {{ assay._comparable_atom('json_extract(_whole, _place)::varchar') }}
                        end
                    )),
                    'at': flatten(list_transform(_found.at, lambda _place: list_transform(
                        case json_type(_whole, _place)
                            when 'OBJECT' then json_keys(_whole, _place)
                            when 'ARRAY' then range(json_array_length(_whole, _place)::bigint)::varchar[]
                            else []
                        end,
                        lambda _key: _place || '/' || replace(replace(_key, '~', '~0'), '/', '~1')
                    )))
                }
            )
        )[1].told.list_sort()::varchar
        else {{ assay._comparable_atom(value) }}
    end
{%- endmacro %}


{% macro _comparable_atom(value) -%}
    case when left({{ value }}, 1) = '"' then {{ value }} else coalesce({{ assay.comparable_number(value) }}::varchar, {{ value }}) end
{%- endmacro %}
