package powerloss

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Mount serves the disk at the folder dir until Unmount. The process that does
// must not itself use the files: a page that it waits for would never come.
func (d *Disk) Mount(dir string) (*fuse.Server, error) {
	s, err := fs.Mount(dir, &folderNode{disk: d, folder: d.root}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMount: true, FsName: "powerloss", Name: "powerloss"},
	})
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	return s, nil
}

// folderNode and fileNode are what FUSE knows of folders and files.
type folderNode struct {
	fs.Inode
	disk   *Disk
	folder *folder
}

type fileNode struct {
	fs.Inode
	disk *Disk
	file *file
}

var (
	_ fs.NodeLookuper  = (*folderNode)(nil)
	_ fs.NodeGetattrer = (*folderNode)(nil)
	_ fs.NodeReaddirer = (*folderNode)(nil)
	_ fs.NodeCreater   = (*folderNode)(nil)
	_ fs.NodeMkdirer   = (*folderNode)(nil)
	_ fs.NodeUnlinker  = (*folderNode)(nil)
	_ fs.NodeRmdirer   = (*folderNode)(nil)
	_ fs.NodeRenamer   = (*folderNode)(nil)
	_ fs.NodeFsyncer   = (*folderNode)(nil)
	_ fs.NodeStatfser  = (*folderNode)(nil)

	_ fs.NodeGetattrer = (*fileNode)(nil)
	_ fs.NodeSetattrer = (*fileNode)(nil)
	_ fs.NodeOpener    = (*fileNode)(nil)
	_ fs.NodeReader    = (*fileNode)(nil)
	_ fs.NodeWriter    = (*fileNode)(nil)
	_ fs.NodeFsyncer   = (*fileNode)(nil)
)

// inode returns the inode of a node in n, and fills in its attributes, under the
// disk's lock.
func (n *folderNode) inode(ctx context.Context, child node, out *fuse.EntryOut) *fs.Inode {
	stat(child, &out.Attr)
	attr := fs.StableAttr{Mode: out.Mode & syscall.S_IFMT, Ino: child.number()}
	if f, ok := child.(*folder); ok {
		return n.NewInode(ctx, &folderNode{disk: n.disk, folder: f}, attr)
	}
	return n.NewInode(ctx, &fileNode{disk: n.disk, file: child.(*file)}, attr)
}

func stat(n node, out *fuse.Attr) {
	out.Ino, out.Blksize = n.number(), pageSize
	switch n := n.(type) {
	case *folder:
		out.Mode, out.Nlink = syscall.S_IFDIR|0o700, 2
	case *file:
		out.Mode, out.Nlink = syscall.S_IFREG|0o600, 1
		out.Size, out.Blocks = uint64(len(n.now)), uint64(len(n.now)+511)/512
	}
}

func (n *folderNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (child *fs.Inode, errno syscall.Errno) {
	n.disk.look(func() {
		if have := n.folder.now[name]; have != nil {
			child = n.inode(ctx, have, out)
		} else {
			errno = syscall.ENOENT
		}
	})
	return child, errno
}

func (n *folderNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.look(func() { stat(n.folder, &out.Attr) })
	return 0
}

func (n *folderNode) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	var list []fuse.DirEntry
	n.disk.look(func() {
		for _, name := range slices.Sorted(maps.Keys(n.folder.now)) {
			var attr fuse.Attr
			stat(n.folder.now[name], &attr)
			list = append(list, fuse.DirEntry{Name: name, Mode: attr.Mode, Ino: attr.Ino})
		}
	})
	return fs.NewListDirStream(list), 0
}

// add makes a new node in the folder.
func (n *folderNode) add(ctx context.Context, name string, out *fuse.EntryOut, made func() node) (child *fs.Inode, errno syscall.Errno) {
	errno = n.disk.change(func() syscall.Errno {
		if n.folder.now[name] != nil {
			return syscall.EEXIST
		}
		n.folder.now[name] = made()
		child = n.inode(ctx, n.folder.now[name], out)
		return 0
	})
	return child, errno
}

func (n *folderNode) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	child, errno := n.add(ctx, name, out, func() node { return n.disk.newFile(n.folder, name) })
	return child, nil, 0, errno
}

func (n *folderNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.add(ctx, name, out, func() node { return n.disk.newFolder() })
}

func (n *folderNode) Unlink(_ context.Context, name string) syscall.Errno {
	return n.disk.change(func() syscall.Errno {
		delete(n.folder.now, name)
		return 0
	})
}

func (n *folderNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.Unlink(ctx, name)
}

func (n *folderNode) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	return n.disk.change(func() syscall.Errno {
		to.(*folderNode).folder.now[newName] = n.folder.now[name]
		delete(n.folder.now, name)
		return 0
	})
}

func (n *folderNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return n.disk.sync(n.folder)
}

func (n *folderNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Blocks, out.Bfree, out.Bavail = pageSize, 1<<20, 1<<20, 1<<20 // 4 GiB, whatever is stored
	return 0
}

func (n *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.look(func() { stat(n.file, &out.Attr) })
	return 0
}

func (n *fileNode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.disk.change(func() syscall.Errno {
		if size, ok := in.GetSize(); ok {
			n.file.truncate(int(size))
		}
		stat(n.file, &out.Attr)
		return 0
	})
}

func (n *fileNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0 // nobody else changes the file
}

func (n *fileNode) Read(_ context.Context, _ fs.FileHandle, dest []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	read := 0
	n.disk.look(func() {
		if at < int64(len(n.file.now)) {
			read = copy(dest, n.file.now[at:])
		}
	})
	return fuse.ReadResultData(dest[:read]), 0
}

func (n *fileNode) Write(_ context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	errno := n.disk.change(func() syscall.Errno {
		n.file.write(data, int(at))
		return 0
	})
	return uint32(len(data)), errno
}

func (n *fileNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return n.disk.sync(n.file)
}
