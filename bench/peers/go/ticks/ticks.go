// SPDX-License-Identifier: Apache-2.0

// Package ticks reads the processor's counter, fenced on both sides. A package of its own, because one with cgo takes no
// assembly in Go's dialect.
package ticks

// Fenced returns the counter: everything before has finished, nothing after has begun.
func Fenced() uint64
