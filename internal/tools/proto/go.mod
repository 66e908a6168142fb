module github.com/chorus-net/chorus/internal/tools/proto

go 1.26.0
