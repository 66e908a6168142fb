package wasm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// childVariable marks a process as a sandbox. It is the only one of the parent's
// making that a child finds, beside those that tune the Go runtime.
const childVariable = "CHORUS_WASM_SANDBOX"

// The child's descriptors. Standard output stays free for a program whose
// packages print when they are initialised.
const (
	childRequests = 3
	childAnswers  = 4
)

const maxRequest = MaxModule + MaxInput + 1<<10

// RunIfChild must come first in the main of a program that sets [Config.Lent].
// In a process that a Pool started it serves as the sandbox and never returns;
// in any other it returns at once.
func RunIfChild() {
	if os.Getenv(childVariable) == "" {
		return
	}
	if err := runChild(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runChild() error {
	if err := confine(); err != nil {
		return err
	}
	requests := make(chan request)
	go readRequests(bufio.NewReader(os.NewFile(childRequests, "requests")), requests)
	s := &sandbox{
		answers: bufio.NewWriterSize(os.NewFile(childAnswers, "answers"), 64<<10),
		modules: make(map[[hashSize]byte]loaded),
	}
	return s.serve(context.Background(), requests)
}

type request struct {
	kind frameKind
	body []byte
}

// readRequests runs beside the module, so that the process ends with its parent
// even while the module loops.
func readRequests(in io.Reader, requests chan<- request) {
	for {
		kind, body, err := readFrame(in, maxRequest)
		if err != nil {
			os.Exit(0)
		}
		requests <- request{kind, body}
	}
}

// sandbox is the child's side: it owns the runtimes and the compiled modules.
type sandbox struct {
	answers *bufio.Writer
	cached  wazero.Runtime // shares compiled code with other children
	plain   wazero.Runtime // without the shared directory, made when that fails
	modules map[[hashSize]byte]loaded
}

type loaded struct {
	module  wazero.CompiledModule
	runtime wazero.Runtime
}

// serve answers requests until the process ends. An error is one of the
// protocol or of the pipe; the module's failures are answers.
func (s *sandbox) serve(ctx context.Context, requests <-chan request) error {
	var setup setupFrame
	if r := <-requests; r.kind != frameSetup {
		return fmt.Errorf("frame %d before setup", r.kind)
	} else if err := setup.decode(r.body); err != nil {
		return err
	}
	if setup.version != protocolVersion {
		return fmt.Errorf("parent speaks version %d, this is %d", setup.version, protocolVersion)
	}
	if err := limitData(setup.data); err != nil {
		return err
	}
	config := wazero.NewRuntimeConfig()
	// Without the directory everything works, only slower after a restart.
	if cache, err := wazero.NewCompilationCacheWithDir(setup.cache); err == nil {
		config = config.WithCompilationCache(cache)
	}
	var err error
	if s.cached, err = newRuntime(ctx, config); err != nil {
		return err
	}
	if err := s.answer(frameHello, []byte{protocolVersion}); err != nil {
		return err
	}
	for r := range requests {
		var err error
		switch r.kind {
		case frameLoad:
			err = s.load(ctx, r.body)
		case frameDrop:
			err = s.drop(ctx, r.body)
		case frameRun:
			err = s.run(ctx, r.body)
		default:
			err = fmt.Errorf("unexpected frame %d", r.kind)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func newRuntime(ctx context.Context, config wazero.RuntimeConfig) (wazero.Runtime, error) {
	r := wazero.NewRuntimeWithConfig(ctx, config)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return nil, errors.Join(fmt.Errorf("provide WASI: %w", err), r.Close(ctx))
	}
	return r, nil
}

func (s *sandbox) answer(kind frameKind, parts ...[]byte) error {
	if err := writeFrame(s.answers, kind, parts...); err != nil {
		return err
	}
	return s.answers.Flush()
}

func (s *sandbox) load(ctx context.Context, body []byte) error {
	if len(body) < 4+hashSize {
		return errShortFrame
	}
	done := doneFrame{seq: binary.LittleEndian.Uint32(body)}
	hash := [hashSize]byte(body[4:])
	if _, ok := s.modules[hash]; !ok {
		l, err := s.compile(ctx, body[4+hashSize:])
		if err != nil {
			done.outcome, done.text = outcomeOf(KindModule), err.Error()
		} else {
			s.modules[hash] = l
		}
	}
	return s.answer(frameLoaded, done.encode())
}

// compile tries a second time without the shared directory, since a full disk or
// a damaged entry must not pass for a bad module.
func (s *sandbox) compile(ctx context.Context, code []byte) (loaded, error) {
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	l := loaded{runtime: s.cached}
	var err error
	if l.module, err = l.runtime.CompileModule(ctx, code); err != nil {
		if s.plain == nil {
			if s.plain, err = newRuntime(ctx, wazero.NewRuntimeConfig()); err != nil {
				return loaded{}, err
			}
		}
		l.runtime = s.plain
		if l.module, err = l.runtime.CompileModule(ctx, code); err != nil {
			return loaded{}, err
		}
	}
	granted := l.runtime.Module(wasiModule).ExportedFunctionDefinitions()
	for _, imported := range l.module.ImportedFunctions() {
		from, name, _ := imported.Import()
		if from != wasiModule || granted[name] == nil {
			return loaded{}, errors.Join(fmt.Errorf("it imports %.64q, which %s does not have", name, wasiModule), l.module.Close(ctx))
		}
	}
	return l, nil
}

func (s *sandbox) drop(ctx context.Context, body []byte) error {
	if len(body) != hashSize {
		return errShortFrame
	}
	hash := [hashSize]byte(body)
	l, ok := s.modules[hash]
	if !ok {
		return nil
	}
	delete(s.modules, hash)
	return l.module.Close(ctx)
}

func (s *sandbox) run(ctx context.Context, body []byte) error {
	var frame runFrame
	input, err := frame.decode(body)
	if err != nil {
		return err
	}
	l, ok := s.modules[frame.hash]
	if !ok {
		return fmt.Errorf("module %x is not loaded", frame.hash[:8])
	}
	g := guest{
		memory: memory{limit: uint64(frame.memory)},
		output: output{limit: int(frame.output)},
		log:    logStream{sandbox: s, seq: frame.seq, room: int(frame.log)},
	}
	err = g.run(ctx, l.runtime, l.module, input, frame.seed)
	done := doneFrame{seq: frame.seq, memory: g.memory.peak, dropped: g.log.dropped}
	var out []byte
	var f *Error
	if errors.As(err, &f) {
		done.outcome, done.exit, done.text = outcomeOf(f.Kind), f.Exit, f.Text
	} else {
		out = g.output.bytes
	}
	return s.answer(frameDone, done.encode(), out)
}
