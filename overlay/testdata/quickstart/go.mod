module quickstart

go 1.26.0

require github.com/chorus-net/chorus v0.0.0

replace github.com/chorus-net/chorus => ../../..
