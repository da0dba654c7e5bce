//! The words that CloudTaser's rooms share
