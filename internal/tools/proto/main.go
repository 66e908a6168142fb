// Command proto generates Go code from the .proto files of a folder, with
// nothing but Go: the compiler and both generators are libraries, pinned in
// this folder's go.mod. It writes x.pb.go (messages) and x_vtproto.pb.go (fast
// marshalling) beside each x.proto, and removes generated files whose .proto
// has gone.
//
//	go run -C internal/tools/proto . ../../wire/pb
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	_ "github.com/planetscale/vtprotobuf/features/marshal"
	_ "github.com/planetscale/vtprotobuf/features/size"
	_ "github.com/planetscale/vtprotobuf/features/unmarshal"
	"github.com/planetscale/vtprotobuf/generator"
	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// root is prefixed to the name of each file, as imports and the process-wide
// registry of protobuf see it, so that no other library's file has the same.
const root = "chorus/v1/"

// features are the parts of vtprotobuf that the messages get: MarshalVT,
// SizeVT, UnmarshalVT and UnmarshalVTUnsafe, which aliases its input.
var features = []string{"marshal", "size", "unmarshal", "unmarshal_unsafe"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: proto FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	names, err := protoFiles(dir)
	if err != nil {
		return err
	}
	req, err := compile(dir, names)
	if err != nil {
		return err
	}
	files, err := generate(req)
	if err != nil {
		return err
	}
	return replace(dir, files)
}

func protoFiles(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.proto"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no .proto file in %s", dir)
	}
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = root + filepath.Base(p)
	}
	slices.Sort(names)
	return names, nil
}

// compile turns the named files into the request that a protoc plugin gets.
func compile(dir string, names []string) (*pluginpb.CodeGeneratorRequest, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: func(name string) (io.ReadCloser, error) {
				base, ok := strings.CutPrefix(name, root)
				if !ok {
					return nil, fs.ErrNotExist
				}
				return os.Open(filepath.Join(dir, base))
			},
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", dir, err)
	}
	req := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: names,
		Parameter:      proto.String("paths=source_relative"),
	}
	seen := make(map[string]bool)
	for _, f := range files {
		req.ProtoFile = appendWithImports(req.ProtoFile, f, seen)
	}
	return req, nil
}

// appendWithImports adds f after everything that it imports.
func appendWithImports(list []*descriptorpb.FileDescriptorProto, f protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[f.Path()] {
		return list
	}
	seen[f.Path()] = true
	for i := range f.Imports().Len() {
		list = appendWithImports(list, f.Imports().Get(i).FileDescriptor, seen)
	}
	return append(list, protoutil.ProtoFromFileDescriptor(f))
}

// generate runs both generators, each over a plugin of its own, as protoc
// would.
func generate(req *pluginpb.CodeGeneratorRequest) ([]*pluginpb.CodeGeneratorResponse_File, error) {
	messages, err := protogen.Options{}.New(req)
	if err != nil {
		return nil, fmt.Errorf("prepare messages: %w", err)
	}
	for _, f := range messages.Files {
		if f.Generate {
			gengo.GenerateFile(messages, f)
		}
	}

	fast, err := protogen.Options{}.New(req)
	if err != nil {
		return nil, fmt.Errorf("prepare marshalling: %w", err)
	}
	vt, err := generator.NewGenerator(fast, features, &generator.Config{
		Poolable:        generator.NewObjectSet(),
		PoolableExclude: generator.NewObjectSet(),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare marshalling: %w", err)
	}
	vt.Generate()

	var out []*pluginpb.CodeGeneratorResponse_File
	for _, p := range []*protogen.Plugin{messages, fast} {
		res := p.Response()
		if res.Error != nil {
			return nil, fmt.Errorf("generate: %s", *res.Error)
		}
		out = append(out, res.File...)
	}
	slices.SortFunc(out, func(a, b *pluginpb.CodeGeneratorResponse_File) int {
		return cmp.Compare(a.GetName(), b.GetName())
	})
	return out, nil
}

// replace writes the files and removes generated ones that are not among them.
func replace(dir string, files []*pluginpb.CodeGeneratorResponse_File) error {
	keep := make(map[string]bool)
	for _, f := range files {
		name := path.Base(f.GetName())
		keep[name] = true
		if err := os.WriteFile(filepath.Join(dir, name), []byte(f.GetContent()), 0o644); err != nil {
			return fmt.Errorf("write generated code: %w", err)
		}
	}
	old, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, e := range old {
		if strings.HasSuffix(e.Name(), ".pb.go") && !keep[e.Name()] {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove stale code: %w", err)
			}
		}
	}
	return nil
}
