package p2p

import (
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// initialProvider is OpenTelemetry's provider as it was before the program
// could set one of its own.
var initialProvider = otel.GetMeterProvider()

// KadMetrics returns kad-dht's metrics, which are OpenTelemetry's, for
// Prometheus; their names begin with kad_. kad-dht counts by process, so all
// hosts of a program share them. They count from the first call on. A program
// that has set an OpenTelemetry provider gets them there instead, and the result
// is empty.
var KadMetrics = sync.OnceValues(func() (prometheus.Gatherer, error) {
	registry := prometheus.NewRegistry()
	if otel.GetMeterProvider() != initialProvider {
		return registry, nil
	}
	exporter, err := otelprom.New(
		otelprom.WithRegisterer(registry),
		otelprom.WithNamespace("kad"),
		otelprom.WithoutScopeInfo(),
		otelprom.WithoutTargetInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("export metrics of Kademlia: %w", err)
	}
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter)))
	return registry, nil
})
