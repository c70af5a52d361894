{% macro one_hot(column, parameters, categories) -%}
    {%- set literals, names = [], [] -%}
    {%- if categories is string or not categories -%}
        {%- do assay._refuse('one_hot of ' ~ column ~ ' needs a list of categories') -%}
    {%- endif -%}
    {%- for category in categories -%}
        {%- do literals.append(assay._text(category)) -%}
        {%- do names.append(modules.re.sub('[^a-z0-9]+', '_', category | lower)) -%}
    {%- endfor -%}
    {%- if (names + ['other']) | unique | list | length != names | length + 1 -%}
        {%- do assay._refuse('two columns of one_hot would have one name: ' ~ column ~ '_' ~ (names + ['other']) | sort | join(', ' ~ column ~ '_')) -%}
    {%- endif -%}
    {%- set known = assay._fitted(
        parameters, 'one_hot', column, 'coalesce(list(key) filter (where key in (' ~ literals | join(', ') ~ ')), [])'
    ) -%}
    {%- set value = assay._as_text(assay.quoted(column)) -%}
    {%- for literal in literals -%}
    coalesce({{ value }} = {{ literal }} and list_contains({{ known }}, {{ literal }}), false)::tinyint as {{ assay.quoted(column ~ '_' ~ names[loop.index0]) }},
    {% endfor -%}
    coalesce(not list_contains({{ known }}, {{ value }}), false)::tinyint as {{ assay.quoted(column ~ '_other') }}
{%- endmacro %}


{% macro _fit_one_hot(column, options, where) -%}
    {%- if options.max_categories is not integer or options.max_categories < 1 -%}
        {%- do assay._refuse('the max_categories ' ~ options.max_categories ~ ' of one_hot must be a whole number from 1') -%}
    {%- endif -%}
    select
        'max_categories' as parameter,
        null as key,
        null as fold,
        {{ options.max_categories }} as value

    union all

    (
        select
            'rows' as parameter,
            {{ assay._as_text(assay.quoted(column)) }} as key,
            null as fold,
            count(*) as value
        from training
        where {{ assay.quoted(column) }} is not null
        group by all
        order by value desc, key
        limit {{ options.max_categories }}
    )
{%- endmacro %}
