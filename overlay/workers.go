package overlay

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
	"github.com/chorus-net/chorus/compute/worker"
)

// workers run the tasks that the scheduler starts here.
type workers struct {
	pool    *worker.Pool
	sandbox *wasm.Pool // nil if the program is not lent
	caps    []string   // what tasks may run here
	scratch string     // folder of a peer without a home; "" if it has one
}

func (w *workers) names() []string { return w.caps }

// close stops what runs.
func (w *workers) close() error {
	var errs []error
	if w.pool != nil {
		errs = append(errs, w.pool.Close())
	}
	if w.sandbox != nil {
		errs = append(errs, w.sandbox.Close())
	}
	if w.scratch != "" {
		errs = append(errs, os.RemoveAll(w.scratch))
	}
	return errors.Join(errs...)
}

// openTasks starts the scheduler and its workers.
func (n *Node) openTasks() error {
	w := &workers{}
	n.workers = w
	registry := worker.NewRegistry()
	if err := registry.AddBuiltins(); err != nil {
		return err
	}
	for _, f := range n.cfg.Funcs {
		if err := f.register(registry); err != nil {
			return usage("config Funcs: %w", err)
		}
	}
	cfg := worker.Config{Registry: registry, Slots: max(n.cfg.Workers, 1)}
	if n.cfg.Workers > 0 {
		w.caps = registry.Names()
	}
	if lent.Load() {
		if err := n.openSandbox(w, &cfg); err != nil {
			return err
		}
	}
	w.pool = worker.New(cfg)
	slots := n.cfg.Workers
	if slots == 0 {
		slots = -1
	}
	var err error
	n.tasks, err = newTasks(n, compute.Config{Self: n.self.Peer, Slots: slots, Funcs: w.caps}, w.pool)
	return err
}

// openSandbox readies the sandbox of WebAssembly tasks.
func (n *Node) openSandbox(w *workers, cfg *worker.Config) (err error) {
	cache, code := "", ""
	if n.home != nil {
		cache, code = n.home.Path("wasm-cache"), n.home.Path("modules")
	} else {
		if w.scratch, err = os.MkdirTemp("", "chorus-"); err != nil {
			return fmt.Errorf("make a folder for modules: %w", err)
		}
		cache, code = w.scratch+"/cache", w.scratch+"/modules"
	}
	n.modules = newModules(n, code)
	w.sandbox, err = wasm.New(wasm.Config{CacheDir: cache, Lent: true, Children: max(n.cfg.Workers, 1)})
	if errors.Is(err, errors.ErrUnsupported) {
		n.log.Info("no WebAssembly tasks on this system", "err", err)
		w.sandbox = nil
		return nil
	}
	if err != nil {
		return err
	}
	cfg.Modules = &worker.Sandbox{
		Pool:  w.sandbox,
		Fetch: func(ctx context.Context, code compute.Code) ([]byte, error) { return n.modules.bytes(ctx, code) },
		Store: n.granted,
	}
	if n.cfg.Workers > 0 {
		w.caps = append(w.caps, compute.CapWASM)
	}
	return nil
}
