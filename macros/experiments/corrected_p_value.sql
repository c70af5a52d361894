{% macro corrected_p_value(p, tests_by, method='holm') -%}
    {%- if method not in ['holm', 'benjamini_hochberg'] -%}
        {%- do assay._refuse('there is no correction ' ~ method ~ ': there are holm, benjamini_hochberg') -%}
    {%- endif -%}
    {%- set sorted = 'list_sort(list(' ~ p ~ ') filter (' ~ p ~ ' is not null) over (partition by ' ~ tests_by | join(', ') ~ '))' -%}
    list_transform([struct_pack(p := {{ p }}, sorted := {{ sorted }})], lambda test: case
        when test.p is not null then
        {%- if method == 'holm' %}
            list_max(list_transform(test.sorted, lambda each, place:
                if(each <= test.p, least(1, (len(test.sorted) - place + 1) * each), 0)
            ))
        {%- else %}
            list_min(list_transform(test.sorted, lambda each, place:
                if(each >= test.p, least(1, len(test.sorted) * each / place), 1)
            ))
        {%- endif %}
    end)[1]
{%- endmacro %}
