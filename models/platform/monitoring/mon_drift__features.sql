{% set views = assay._compared_views(names_read('feature_views')) %}
{% set training_sets = names_read('training_sets') %}
{% set features = [] %}
{% for view in views %}
{% for feature in view.numbers + view.categories %}
{% do features.append((view, feature)) %}
{% endfor %}
{% endfor %}
{% if features %}

    select *
    from (
        values
        {%- for view, feature in features %}
        ({{ feature.number }}, {{ view.number }}, '{{ view.name }}', {{ assay._text(feature.name) }}, {{ feature.is_category | lower }}, {{ feature.place }}, {{ assay._trained_on(feature.name, view, training_sets) }}::varchar[]){{ ',' if not loop.last }}
        {%- endfor %}
    ) as features (feature_number, view_number, feature_view, feature, is_category, place, trained_on)

{% else %}

    {{ no_rows() }}

{% endif %}
