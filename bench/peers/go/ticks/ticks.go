// SPDX-License-Identifier: Apache-2.0

// Package ticks reads the processor's counter, fenced on both sides. It is a separate package, because a
// package that uses cgo cannot contain assembly in Go's dialect.
package ticks

// Fenced reads the counter after everything before has finished, and before anything after it has begun.
func Fenced() uint64
