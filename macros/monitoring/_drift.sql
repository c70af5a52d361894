{#- What the models mon_drift__* are written with: feature views as the graph has them, months, and what chance can do. -#}

{#- Views and their features, numbered: text is slow to sort. A feature has its place among the view's numbers or
    categories. mon_quality says which have no type, and are left out. -#}
{% macro _compared_views(views) -%}
    {%- set found, known = [], [] -%}
    {%- for name in views -%}
        {%- set view = assay.feature_view(name) -%}
        {%- set numbers, categories = [], [] -%}
        {%- for column in view.described if column.name in view.columns and not column.name.endswith('_id') -%}
            {%- set type = (column.type or '').lower().split('(')[0] | trim -%}
            {%- set is_category = type in ['varchar', 'boolean', 'text', 'enum'] -%}
            {%- if is_category or type in assay._numbers() -%}
                {%- set alike = categories if is_category else numbers -%}
                {%- do known.append(column.name) -%}
                {%- do alike.append({
                    'number': known | length, 'name': column.name, 'is_category': is_category, 'place': alike | length + 1,
                }) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do found.append({
            'number': loop.index, 'name': name, 'relation': ref(name), 'entity_keys': view.entity_keys,
            'numbers': numbers, 'categories': categories,
            'first_arrival': 'coalesce(confirmed_at[1], updated_at)' if view.confirmed_at else 'updated_at',
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The values of some features, as a list. Each is cast by itself: of decimals a list takes the type that suits all. -#}
{% macro _listed(features, type) -%}
    [
        {%- for feature in features -%}
        {{ assay.quoted(feature.name) }}::{{ type }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    ]::{{ type }}[]
{%- endmacro %}


{#- Of each feature of a view the training sets that join it. -#}
{% macro _trained_on(view, training_sets) -%}
    {%- set found = {} -%}
    {%- for name in training_sets -%}
        {%- for column in assay._trained_columns(name, view) | unique -%}
            {%- do found.setdefault(column, []).append(name) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The columns of a view that a training set joins; of derived features alone, those that they are made of. -#}
{% macro _trained_columns(training_set, view) -%}
    {%- set names = [] -%}
    {%- for each in assay.joined_features_of(assay._node_named(training_set)) if each.view == view.name -%}
        {%- do names.extend(each.columns or assay._request_of_view(each).needed) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}


{#- Months are numbered from 1970. -#}
{% macro _month_of(at) -%}
    datediff('month', date '1970-01-01', {{ at }})
{%- endmacro %}


{% macro _first_of(month_number) -%}
    (timestamp '1970-01-01' + to_months(({{ month_number }})::integer))
{%- endmacro %}


{#- P-values need no more of an engine than exp: Kolmogorov's distribution with Stephens' correction, for KS and, since a
    NULL is a value like another, for shares of NULLs; Chernoff's bound for chi-square. -#}
{% macro _stephens(statistic, n, m) -%}
    {%- set root = 'sqrt(' ~ n ~ ' * ' ~ m ~ ' / nullif(' ~ n ~ ' + ' ~ m ~ ', 0))' -%}
    {{ statistic }} * ({{ root }} + 0.12 + 0.11 / nullif({{ root }}, 0))
{%- endmacro %}


{% macro _kolmogorov(x) -%}
    case
        when {{ x }} < 0.3 then 1
        else least(1, 2 * (exp(-2 * {{ x }} * {{ x }}) - exp(-8 * {{ x }} * {{ x }}) + exp(-18 * {{ x }} * {{ x }}) - exp(-32 * {{ x }} * {{ x }})))
    end
{%- endmacro %}


{% macro _chernoff(chi2, degrees) -%}
    case
        when {{ chi2 }} <= {{ degrees }} then 1
        else exp({{ degrees }} / 2 * (ln({{ chi2 }} / {{ degrees }}) + 1) - {{ chi2 }} / 2)
    end
{%- endmacro %}


{#- What a figure was at most, as usual: so many times its median, or so many usual deviations above it. -#}
{% macro _usual_at_most(before, limits) -%}
    coalesce(greatest(
            {{ limits.usual_times }} * list_aggregate({{ before }}, 'median'),
            list_aggregate({{ before }}, 'median') + {{ limits.usual_deviations }} * {{ assay._deviation_of("list_aggregate(" ~ before ~ ", 'mad')") }}
        ), 0)
{%- endmacro %}
