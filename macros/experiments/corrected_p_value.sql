{% macro corrected_p_value(p, tests_by, method='holm') -%}
    {%- if method not in ['holm', 'benjamini_hochberg'] -%}
        {%- do assay._refuse('there is no correction ' ~ method ~ ': there are holm, benjamini_hochberg') -%}
    {%- endif -%}
    {%- set sorted = 'list_sort(list(' ~ p ~ ') filter (' ~ p ~ ' is not null) over (partition by ' ~ tests_by | join(', ') ~ '))' -%}
    list_transform([struct_pack(p := {{ p }}, sorted := {{ sorted }})], lambda test: case
        when test.p is not null then
        {%- if method == 'holm' %}
            list_max(list_transform(range(1, len(test.sorted) + 1), lambda place:
                if(test.sorted[place] <= test.p, least(1, (len(test.sorted) - place + 1) * test.sorted[place]), 0)
            ))
        {%- else %}
            list_min(list_transform(range(1, len(test.sorted) + 1), lambda place:
                if(test.sorted[place] >= test.p, least(1, len(test.sorted) * test.sorted[place] / place), 1)
            ))
        {%- endif %}
    end)[1]
{%- endmacro %}
