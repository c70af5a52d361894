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
            'number': loop.index, 'name': name, 'relation': ref(name), 'unique_id': view.unique_id, 'columns': view.columns,
            'entity_keys': view.entity_keys, 'numbers': numbers, 'categories': categories,
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


{#- The training sets that train on a feature. -#}
{% macro _trained_on(feature, view, training_sets) -%}
    {%- set found = [] -%}
    {%- for name in training_sets if feature in assay._trained_columns(name, view) -%}
        {%- do found.append(name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The columns of a view that a training set joins: what its point_in_time_join names, or all where that cannot be read. -#}
{% macro _trained_columns(training_set, view) -%}
    {%- set names = [] -%}
    {%- for node in graph.nodes.values() if node.name == training_set and view.unique_id in node.depends_on.nodes -%}
        {%- set asked = modules.re.findall("(?s)'view': *'" ~ view.name ~ "',\\s*'columns': *\\[(.*?)\\]", node.raw_code) -%}
        {%- do names.extend(modules.re.findall("['\"](.*?)['\"]", asked | join(' ')) if asked else view.columns) -%}
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
