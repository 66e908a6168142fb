package wasm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tetratelabs/wazero"
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
		requests: requests,
		answers:  bufio.NewWriterSize(os.NewFile(childAnswers, "answers"), 64<<10),
		modules:  make(map[[hashSize]byte]*loaded),
	}
	return s.serve(context.Background())
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

// sandbox is the child's side: it owns the runtimes, the compiled modules and the
// instances of reactors.
type sandbox struct {
	requests <-chan request
	answers  *bufio.Writer
	cached   wazero.Runtime // shares compiled code with other children
	plain    wazero.Runtime // without the shared directory, made when that fails
	modules  map[[hashSize]byte]*loaded
	largest  uint64 // bytes of the largest memory that a module may be given
	seq      uint32 // of the run under way
	guest    *guest // the run under way
	runs     uint64
}

// loaded is a module that was compiled.
type loaded struct {
	module  wazero.CompiledModule
	runtime wazero.Runtime
	reactor bool
	globals int       // of a reactor, exported
	warm    *instance // of a reactor, ready for the next run; nil if there is none
	used    uint64    // number of the last run
}

// maxWarm bounds the bytes of memory that instances keep while they wait.
const maxWarm = 256 << 20

// serve answers requests until the process ends. An error is one of the
// protocol or of the pipe; the module's failures are answers.
func (s *sandbox) serve(ctx context.Context) error {
	var setup setupFrame
	if r := <-s.requests; r.kind != frameSetup {
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
	s.largest = setup.memory
	config := wazero.NewRuntimeConfig()
	// Without the directory everything works, only slower after a restart.
	if cache, err := wazero.NewCompilationCacheWithDir(setup.cache); err == nil {
		config = config.WithCompilationCache(cache)
	}
	var err error
	if s.cached, err = s.newRuntime(ctx, config); err != nil {
		return err
	}
	if err := s.answer(frameHello, []byte{protocolVersion}); err != nil {
		return err
	}
	for r := range s.requests {
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
	return errors.Join(l.cool(ctx), l.module.Close(ctx))
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
	log := &logStream{sandbox: s, seq: frame.seq, room: int(frame.log)}
	s.seq, s.guest = frame.seq, newGuest(&frame, input, log)
	g := s.guest
	warm := l.warm != nil
	i, err := s.take(ctx, l, uint64(frame.memory))
	ended := err != nil // or by itself, with an exit
	if err == nil {
		err = i.call(ctx)
		ended = err != nil || i.module.IsClosed()
	}
	done := doneFrame{seq: frame.seq, warm: warm, memory: i.memory.peak, dropped: log.dropped}
	var out []byte
	var f *Error
	if errors.As(g.explain(err, &i.memory), &f) {
		done.outcome, done.exit, done.text = outcomeOf(f.Kind), f.Exit, f.Text
	} else {
		out, done.spawned = g.output.bytes, g.spawned
	}
	if err := s.answer(frameDone, done.encode(), out); err != nil {
		return err
	}
	// The answer is out: what follows does not keep anybody waiting.
	if ended || !l.reactor || !i.rewind() {
		return i.close(ctx)
	}
	return s.keep(ctx, l, i)
}
