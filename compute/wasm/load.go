package wasm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

const (
	typeI32 = api.ValueTypeI32

	wasiNotSupported = 58 // errno ENOTSUP
)

// newRuntime makes a runtime with everything that modules may import.
func (s *sandbox) newRuntime(ctx context.Context, config wazero.RuntimeConfig) (wazero.Runtime, error) {
	r := wazero.NewRuntimeWithConfig(ctx, config)
	if err := s.provide(ctx, r); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

func (s *sandbox) provide(ctx context.Context, r wazero.Runtime) error {
	wasi := r.NewHostModuleBuilder(wasiModule)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(wasi)
	// There are no descriptors but those of the streams, which stay: a reactor's
	// next run needs them.
	for name, errno := range map[string]uint64{"fd_close": 0, "fd_renumber": wasiNotSupported} {
		params := []api.ValueType{typeI32, typeI32}
		if name == "fd_close" {
			params = params[:1]
		}
		wasi.NewFunctionBuilder().
			WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = errno }), params, []api.ValueType{typeI32}).
			Export(name)
	}
	if _, err := wasi.Instantiate(ctx); err != nil {
		return fmt.Errorf("provide WASI: %w", err)
	}
	host := r.NewHostModuleBuilder(hostModule)
	for _, f := range hostFunctions {
		host.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
				f.serve(&hostCall{sandbox: s, guest: s.guest, memory: m.Memory(), name: f.name, stack: stack})
			}), slices.Repeat([]api.ValueType{typeI32}, f.params), slices.Repeat([]api.ValueType{typeI32}, f.results)).
			Export(f.name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		return fmt.Errorf("provide host functions: %w", err)
	}
	return nil
}

// compile tries a second time without the shared directory, since a full disk or
// a damaged entry must not pass for a bad module.
func (s *sandbox) compile(ctx context.Context, code []byte) (*loaded, error) {
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	found, err := inspect(code)
	if err != nil {
		return nil, err
	}
	l := &loaded{runtime: s.cached, reactor: !found.start}
	if code, l.globals, err = rewrite(code, l.reactor); err != nil {
		return nil, err
	}
	if l.module, err = l.runtime.CompileModule(ctx, code); err != nil {
		if s.plain == nil {
			if s.plain, err = s.newRuntime(ctx, wazero.NewRuntimeConfig()); err != nil {
				return nil, err
			}
		}
		l.runtime = s.plain
		if l.module, err = l.runtime.CompileModule(ctx, code); err != nil {
			return nil, err
		}
	}
	if err := l.check(); err != nil {
		return nil, errors.Join(err, l.module.Close(ctx))
	}
	return l, nil
}

// check says what is wrong with the functions that a module imports and exports.
func (l *loaded) check() error {
	for _, f := range l.module.ImportedFunctions() {
		from, name, _ := f.Import()
		granted := l.runtime.Module(from).ExportedFunctionDefinitions()[name]
		if granted == nil {
			return fmt.Errorf("it imports %.64q, which %s does not have", name, from)
		}
		if want := signature(granted); signature(f) != want {
			return fmt.Errorf("it imports %.64q of %s as %s; that is %s", name, from, signature(f), want)
		}
	}
	exports := l.module.ExportedFunctions()
	want := map[string][]string{startExport: {"()"}}
	if l.reactor {
		want = map[string][]string{initExport: {"()"}, handleExport: {"()", "() i32"}}
	}
	for name, signatures := range want {
		if f := exports[name]; f != nil && !slices.Contains(signatures, signature(f)) {
			return fmt.Errorf("it exports %s as %s; that has to be %s", name, signature(f), signatures[len(signatures)-1])
		}
	}
	return nil
}

// signature returns a function's type as people write it: "(i32 i32) i64".
func signature(f api.FunctionDefinition) string {
	list := func(types []api.ValueType) (s string) {
		for i, t := range types {
			if i > 0 {
				s += " "
			}
			s += api.ValueTypeName(t)
		}
		return s
	}
	s := "(" + list(f.ParamTypes()) + ")"
	if len(f.ResultTypes()) > 0 {
		s += " " + list(f.ResultTypes())
	}
	return s
}
